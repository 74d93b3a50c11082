"""The harness: what a study's file means, its statistics and tables, and that a killed study goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from infra.profile import load_profile
from infra.tracking import TrackingStore
from models.network.multiview_unet import MultiViewUNet
from models.training.cost import unet_cost
from render.cameras import Camera
from tasks.artifacts.cases import Case
from tasks.outcome import Failed
from tests.bench.study.cost import Cost
from tests.bench.study.data import Data
from tests.bench.study.page import Progress, write_study
from tests.bench.study.release import released_run, write_release
from tests.bench.study.results import Results, Run
from tests.bench.study.run import CellJob
from tests.bench.study.spec import DATA_SECTIONS, Study, list_cells, load_study
from tests.bench.study.statistics import difference, estimate, full_table, standard_error
from tests.bench.study.tables import gains, means, more_views
from tests.project_copy import ROOT
from tests.tasks.report.strict_html import StrictPage
from tests.tasks.small_view_sets import seal_images

STUDIES = ROOT / "tests" / "bench" / "studies"
TINY = STUDIES / "tiny.yaml"
ONE, TWO = Case("stage3", "sparse", 1), Case("stage3", "sparse", 2)


def changed(**changes: Any) -> Study:
    return Study.model_validate(load_study(TINY).model_dump() | changes)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_study_can_be_made(path: Path) -> None:
    study = load_study(path)
    cells = list_cells(study)
    assert len(cells) == len(study.variants) * len(study.seeds) * len(study.budgets)
    share = [cell for cell in cells if not DATA_SECTIONS & {key.partition(".")[0] for key in cell.changes}]
    assert len({cell.data_key for cell in share}) == 1, "variants that train alone differently share all data"


def test_study_that_extends_another_adds_its_values_to_that_ones_params(tmp_path: Path) -> None:
    shutil.copyfile(TINY, tmp_path / "tiny.yaml")
    own = {"extends": "tiny.yaml", "name": "own", "params": {"sample.steps": 3}, "seeds": [5]}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    study, below = load_study(tmp_path / "own.yaml"), load_study(TINY)
    assert (study.name, study.seeds, study.variants) == ("own", (5,), below.variants)
    assert study.params == below.params | {"sample.steps": 3}


def test_key_with_a_star_is_set_in_all_stages_and_the_variants_own_value_wins() -> None:
    study = changed(
        params=load_study(TINY).params | {"train_stage*.optimizer.learning_rate": 0.005},
        variants={"whole": {}, "slow": {"params": {"train_stage2.optimizer.learning_rate": 0.001}}},
    )
    rates = {
        cell.variant: [getattr(cell.params, f"train_stage{number}").optimizer.learning_rate for number in (1, 2, 3)]
        for cell in list_cells(study)
    }
    assert rates == {"whole": [0.005] * 3, "slow": [0.005, 0.001, 0.005]}


def test_run_names_the_values_of_each_stage_that_a_star_means() -> None:
    """MLflow takes no star in the name of a parameter."""
    study = changed(variants={"whole": {}, "few": {"params": {"train_stage*.max_objects": 2, "sample.steps": 3}}})
    few = next(cell for cell in list_cells(study) if cell.variant == "few")
    assert few.changes == {f"train_stage{number}.max_objects": 2 for number in (1, 2, 3)} | {"sample.steps": 3}


def test_budget_is_shared_among_the_stages_that_a_variant_trains() -> None:
    variants = {"whole": {}, "no stage 1": {"stages": ["stage2", "stage3"]}}
    loops = {"train_stage2.loop.samples": 8, "train_stage3.loop.samples": 16, "train_stage1.loop.samples": 8}
    cells = list_cells(changed(params=load_study(TINY).params | loops, variants=variants, seeds=[0], budgets=[64, 320]))
    by_stage = [[getattr(cell.params, f"train_{stage}").loop.samples for stage in cell.stages] for cell in cells]
    assert by_stage == [[16, 16, 32], [22, 42], [80, 80, 160], [106, 214]]
    assert [cell.samples for cell in cells] == [64, 64, 320, 320]


def test_variants_share_trainings_that_do_not_differ_before_and_runs_that_differ_have_places_of_their_own(
    tmp_path: Path,
) -> None:
    study = changed(
        variants={
            "whole": {},
            "later": {"params": {"train_stage3.kept_targets": 2}},
            "earlier": {"params": {"train_stage1.kept_targets": 2}},
            "same": {},
            "drawn otherwise": {"params": {"sample.steps": 4}},
        }
    )
    jobs = {(job.cell.variant, job.cell.seed): job for job in jobs_of(study, tmp_path)}
    keys = {name: jobs[name, 0].stage_keys for name in study.variants}
    assert keys["whole"] == keys["same"] == keys["drawn otherwise"]
    assert [keys["later"][stage] == keys["whole"][stage] for stage in ("stage1", "stage2", "stage3")] == [1, 1, 0]
    assert not set(keys["earlier"].values()) & set(keys["whole"].values())
    assert not set(jobs["whole", 1].stage_keys.values()) & set(keys["whole"].values())
    assert len({job.place for job in jobs.values()}) == len(jobs)
    for name in ("data/latents", "models_out/mask_vae"):
        other = jobs_of(study, tmp_path / name, {name: "of other content"})[0]
        assert not set(other.stage_keys.values()) & set(keys["whole"].values())


def test_first_trained_stage_has_the_network(tmp_path: Path) -> None:
    job = jobs_of(changed(variants={"whole": {"stages": ["stage2", "stage3"]}}), tmp_path)[0]
    assert job.stage_config("stage2").unet == job.cell.params.train_stage1.unet
    assert job.stage_config("stage3").unet is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "hole"}, "baseline is 'hole'; name one of whole, one view given"),
        ({"seeds": [1, 1]}, "seeds has an entry twice"),
        ({"params": {"train_stage4.kept_targets": 2}}, "no section 'train_stage4'"),
        ({"params": {"train_stage1.kept_tarets": 2}}, "train_stage1.kept_tarets: no such key"),
        (
            {"variants": {"whole": {"params": {"train_stage1.kept_targets": 99}}}},
            "(?s)variant 'whole'.*kept_targets is 99",
        ),
        ({"budgets": [64, 65]}, "same samples in whole batches"),
        (
            {"variants": {"whole": {"stages": ["stage1"]}}, "params": {"sample.stages": ["stage3"]}},
            "let it sample a stage that is trained",
        ),
    ],
)
def test_study_with_a_mistake_is_refused_before_any_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list_cells(changed(**changes))


def test_standard_error_over_objects_alone_is_the_usual_one() -> None:
    values = np.random.default_rng(0).normal(size=12)
    assert standard_error(values[:, None]) == pytest.approx(values.std(ddof=1) / 12**0.5)
    assert standard_error(values[None, :]) == pytest.approx(values.std(ddof=1) / 12**0.5)
    assert standard_error(values[:1, None]) is None


@pytest.mark.parametrize("spread", [(1.0, 0.0, 0.3), (0.0, 1.0, 0.3), (0.7, 0.7, 1.0)])
def test_standard_error_is_the_spread_of_the_mean_when_objects_and_seeds_are_drawn_again(
    spread: tuple[float, float, float],
) -> None:
    rng = np.random.default_rng(0)
    of_object, of_seed, rest = spread
    tables = [
        of_object * rng.normal(size=(10, 1)) + of_seed * rng.normal(size=(1, 5)) + rest * rng.normal(size=(10, 5))
        for _ in range(3000)
    ]
    variance = np.var([table.mean() for table in tables])
    estimated = np.mean([np.square(standard_error(table) or 0) for table in tables])
    assert estimated == pytest.approx(variance, rel=0.12)


def test_more_objects_do_not_make_up_for_few_seeds() -> None:
    """With two seeds that differ by 1 and a thousand equal objects, the naive error over all values would be 0.01."""
    table = np.repeat([[0.0, 1.0]], 1000, axis=0)
    assert standard_error(table) == pytest.approx(0.5)


def test_difference_is_paired_by_object_and_seed() -> None:
    one = {("a", 0): 1.0, ("a", 1): 2.0, ("b", 0): 11.0, ("b", 1): 12.0, ("c", 0): 5.0}
    other = {key: value - 0.5 for key, value in one.items()} | {("d", 0): 0.0}
    found = difference(one, other)
    assert found is not None
    assert (found.mean, found.error, found.objects, found.seeds, found.better) == (0.5, 0, 2, 2, 2)
    assert full_table(one).tolist() == [[1, 2], [11, 12]]
    assert estimate({}) is None


def jobs_of(study: Study, folder: Path, contents: dict[str, str] | None = None) -> list[CellJob]:
    """The runs of a study whose data are not made, only known by their hashes."""
    outs = {
        "train-vae": "models_out/mask_vae",
        "encode": "data/latents",
        "render-test": "data/test_views",
        "gso-eval": "data/gso_eval",
    }
    stages = {
        stage: {"cmd": "", "outs": [{"path": path, "md5": (contents or {}).get(path, path)}]}
        for stage, path in outs.items()
    }
    project = folder / "project"
    project.mkdir(parents=True)
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    return [CellJob(study.name, cell, Data(project), folder, load_profile("ci")) for cell in list_cells(study)]


GAIN = {"whole": 0.0, "one view given": -1.0}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Two variants, two seeds, two budgets; three objects, the last of which looks alike from all sides."""
    study = changed(budgets=[24, 48])
    return Results(study, [made(job) for job in jobs_of(study, tmp_path)])


def made(job: CellJob) -> Run:
    cell, scores = job.cell, {}
    for case in (ONE, TWO):
        for number, uid in enumerate(("bowl", "car", "mug")):
            psnr = 15.0 + number + GAIN[cell.variant] + cell.seed + cell.samples / 24 + 0.25 * (case is TWO)
            azimuth = {"azimuth_alike": 1.0}
            if uid != "bowl":
                azimuth = {"azimuth_alike": 0.0, "azimuth_hit_rate": float(cell.samples > 24 and uid == "car")}
                azimuth |= {"azimuth_chance": 0.125, "azimuth_margin": 0.5}
            shared = {"psnr": psnr, "psnr_over_copy": psnr - 16, "psnr_copy": 16.0, "ssim": 0.75, "mask_iou": 0.5}
            scores[case, "held_out", uid] = shared | azimuth
    models = {stage: job.folder / stage for stage in cell.stages}
    for stage, path in models.items():
        path.mkdir(exist_ok=True)
        rows = "".join(f"{8 * step},{step},0.5\n" for step in (1, 2))
        (path / "history.csv").write_text(f"samples_seen,val_psnr,val_azimuth_hit_rate\n{rows}")
        models[stage] = path
    models["stage3"] = models["stage3"] / cell.variant
    models["stage3"].mkdir(exist_ok=True)
    shutil.copyfile(models["stage2"] / "history.csv", models["stage3"] / "history.csv")
    speed = 2 if cell.variant == "whole" else 1
    return Run(job, Cost(100.0 * speed, 60.0, 3.0 * speed), "cpu", "run", models, scores)


def test_release_is_the_baselines_pipeline_with_its_scores_and_without_raw_weights(
    results: Results, tmp_path: Path
) -> None:
    run = released_run(results)
    assert run is not None
    cell = run.job.cell
    assert (cell.variant, cell.samples, cell.seed) == (results.study.baseline, results.budgets[-1], 0)
    (run.models["stage3"] / "unet_raw").mkdir(exist_ok=True)
    write_release(run, tmp_path / "models" / "small")
    assert {path.name for path in (tmp_path / "models" / "small").iterdir()} == {"history.csv", ".eval_results"}
    scores = yaml.safe_load((tmp_path / "models" / "small" / ".eval_results" / "mvdiffusion-pp.yaml").read_text())
    assert "sparse_held_out_1_psnr" in {entry["dataset"]["task_id"] for entry in scores}
    with pytest.raises(ValueError, match="export into another folder"):
        write_release(run, tmp_path / "models" / "small")


def rows_of(table: Any, *names: str) -> list[tuple[str, ...]]:
    places = [table.columns.index(name) for name in names]
    return [tuple(row[place] for place in places) for row in table.rows]


def test_table_of_means_says_quality_azimuth_and_cost(results: Results) -> None:
    table = means(results, "held_out")
    rows = rows_of(table, "variant", "samples", "objects x seeds", "PSNR, dB", "azimuth hits", "by chance", "CPU s")
    assert len(rows) == 8
    assert rows[0] == ("whole", "24", "3 x 2", "17.50 ± 0.76", "0.00 ± 0.00", "0.12", "200")
    assert rows[-1] == ("one view given", "48", "3 x 2", "17.75 ± 0.76", "0.50 ± 0.50", "0.12", "100")


def test_tables_of_differences_are_paired_and_say_the_ratio_of_costs(results: Results) -> None:
    table = gains(results, "held_out")
    names = ("variant", "samples", "PSNR, dB", "objects better", "azimuth hits", "CPU s, ratio", "FLOP, ratio")
    expected = ("\N{MINUS SIGN}1.00 ± 0.00", "0 of 3", "+0.00 ± 0.00", "0.50", "0.50")
    assert rows_of(table, *names) == [("one view given", samples, *expected) for samples in ("24", "24", "48", "48")]
    views = more_views(results, "held_out")
    assert rows_of(views, "PSNR, dB", "objects better") == [("+0.25 ± 0.00", "3 of 3")] * 4
    lines = list(table.markdown())
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_stage_that_a_variant_shares_with_the_baseline_is_no_difference(results: Results) -> None:
    case = Case("stage2", "sparse", 1)
    assert results.shares_model("one view given", 24, case)
    assert not results.shares_model("one view given", 24, ONE)


def test_curves_are_of_held_out_objects_also_where_scans_are_scored_in_another_protocol(results: Results) -> None:
    scan = (Case("stage3", "gso", 1), "gso", "alarm")
    runs = [replace(run, scores={**run.scores, scan: {"psnr": 12.0}}) for run in results.runs]
    both = Results(results.study, runs)
    assert both.groups == ["gso", "held_out"]
    assert (both.headline, both.main_group) == (ONE, "held_out")


def test_curve_of_a_run_goes_on_over_its_stages(results: Results) -> None:
    curve = results.runs[0].curve("val_psnr")
    assert curve.tolist() == [[8, 1], [16, 2], [24, 1], [32, 2], [40, 1], [48, 2]]
    assert results.runs[0].curve("val_unknown").shape == (0, 2)


@pytest.mark.slow(seconds=1)
def test_page_shows_every_variant_without_files_beside_it(results: Results) -> None:
    job = results.of("whole", 48)[0].job
    cameras = [Camera(f"t{index:02d}", 45.0 * index, 0.0, 1.5, 60.0) for index in range(8)]
    for number, target in enumerate((job.data.test_views, job.place / "samples" / ONE.name)):
        views = {
            uid: [(camera, np.full((16, 16, 4), 60 * shade + 20 * number, np.uint8)) for camera in cameras]
            for shade, uid in enumerate(("bowl", "car", "mug"), start=1)
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        seal_images(job.folder / f"made{number}", views).rename(target)
    write_study(results, Progress(9, [Failed("one view given, 48 samples, seed 0", "<killed>")]), job.folder)
    page = StrictPage((job.folder / "index.html").read_text())
    for words in (
        "2 variants, 2 seeds, 2 budgets",
        "8 of 9",
        *results.variants,
        "failed: one view given, 48 samples, seed 0",
        "<killed>",
    ):
        assert words in page.text
    shown = list(page.images.values())
    charts = ["Over training samples", "Over given views", "Over cost", "While training, 48 samples, mean over seeds"]
    assert [alt.split(":")[0] for alt in shown[:4]] == charts
    assert shown[4:6] == ["bowl, true views", "bowl, whole"]
    assert (job.folder / "tables.md").read_text().startswith("**Means, held-out objects**")


def started(out: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.bench.study", str(TINY), "--out", str(out), "--threads", "1", *words]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def finished(out: Path, *words: str) -> str:
    process = started(out, *words)
    said, errors = process.communicate(timeout=3600)
    assert process.returncode == 0, errors.decode()[-3000:]
    return said.decode() + errors.decode()


def wait_for(folder: Path, signs: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 1800
    while not list(folder.glob(signs)):
        assert process.poll() is None, process.communicate()[1].decode()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def scores_in(out: Path) -> dict[str, Any]:
    """Scores of all runs by folder."""
    return {path.parent.name: json.loads(path.read_bytes())["scores"] for path in out.glob("runs/*/result.json")}


@pytest.mark.e2e
@pytest.mark.blender
@pytest.mark.slow(seconds=240)
@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_killed_study_goes_on_where_it_was_and_other_params_are_made_anew(tmp_path: Path) -> None:
    out = tmp_path / "study"
    process = started(out)
    wait_for(out, "work/stage2-*/.work/*/*/samples-*.pt", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=600)
    before = {path: path.stat().st_mtime_ns for path in out.glob("models/stage1-*/manifest.json")}
    assert len(before) == 1
    assert not scores_in(out)

    finished(out)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len(scores_in(out)) == 4
    trained = sorted(path.name.split("-")[0] for path in (out / "models").iterdir())
    assert trained == ["stage1"] * 2 + ["stage2"] * 2 + ["stage3"] * 4, "the variants share stages 1 and 2"
    check_tracking(out)
    check_costs(out)
    page = StrictPage((out / "index.html").read_text())
    assert "4 of 4" in page.text
    assert len(page.images) >= 4

    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(out / "data", undisturbed / "data", symlinks=True)
    finished(undisturbed, "--variants", "whole", "--seeds", "0")
    ((name, scores),) = scores_in(undisturbed).items()
    assert scores_in(out)[name] == scores

    assert "4 of 4 runs were made before, 0 to go" in finished(out)
    assert len(list(out.glob("models/*"))) == 8
    finished(out, "--seeds", "0", "--set", '{"train_stage3.kept_targets": 4}')
    added = sorted(path.name.split("-")[0] for path in (out / "models").iterdir())
    assert added == sorted([*trained, "stage3", "stage3"])
    assert len(list((out / "data").glob("*/params.yaml"))) == 1


def check_tracking(out: Path) -> None:
    """A run for each variant and seed, one killed before; each has runs of its trainings with azimuth metrics."""
    store = TrackingStore(out, None)
    runs = [run for run in store.client.search_runs([store.experiment_id]) if "variant" in run.data.tags]
    assert sorted(run.info.status for run in runs) == [*["FINISHED"] * 4, "KILLED"]
    ended = [run for run in runs if run.info.status == "FINISHED"]
    assert {(run.data.tags["variant"], run.data.tags["seed"]) for run in ended} == {
        (variant, seed) for variant in ("whole", "one view given") for seed in ("0", "1")
    }
    for run in ended:
        assert {
            "stage3-sparse-1/held_out/azimuth_hit_rate",
            "cost/cpu_seconds",
            "cost/tflop",
        } <= run.data.metrics.keys()
    below = [run for run in store.client.search_runs([store.experiment_id]) if "model" in run.data.tags]
    assert not [run for run in below if run.info.status == "RUNNING"]
    assert [run for run in below if "val/azimuth_hit_rate" in run.data.metrics]


def check_costs(out: Path) -> None:
    """Operations are those of the samples, whatever was repeated; the killed training has two attempts."""
    attempts = {path.parent.parent.name: len(list(path.parent.glob("*"))) for path in out.glob("work/*/spent/*")}
    assert sorted(attempts.values()) == [1] * 7 + [2]
    for path in out.glob("work/stage1-*/cost.json"):
        cost = json.loads(path.read_bytes())
        unet = MultiViewUNet.from_pretrained(out / "models" / path.parent.name / "unet")
        kept = list_cells(load_study(TINY))[0].params.train_stage1.kept_targets
        of_sample = unet_cost(unet, 1, kept, None).tflop
        assert cost["tflop"] == pytest.approx(8 * of_sample)
        assert cost["cpu_seconds"] > 0
