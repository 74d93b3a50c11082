"""Reconstruction, scores and the report on a small finished run with known answers."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from flows.params import load_params
from models.config import Effort
from models.losses.metrics import MAX_PSNR
from render.views import ViewKind
from tasks.artifacts.cases import Case
from tasks.artifacts.manifest import Kind, open_manifest, read_ledger, seal
from tasks.artifacts.views import ViewSet
from tasks.commands.export_model import export_model
from tasks.evaluate import evaluate
from tasks.outcome import Done, Rejected
from tasks.peers.import_object import Imported
from tasks.peers.store import PeerConfig, store_case
from tasks.reconstruct import reconstruct_samples
from tasks.report.inputs import ReportInputs
from tests.tasks.made_run import PARAMS, blur, make_run
from tests.tasks.report.strict_html import StrictPage
from tests.tasks.toolbox import MemoryTracker, make_tools

pytestmark = pytest.mark.slow(seconds=2)  # what they share takes 40 s to make
PERFECT, POOR, BLANK, RING = "stage3-sparse-4", "stage3-sparse-1", "stage1-sparse-1", "stage3-ring-1"
GSO = "stage3-gso-1"


def vanish(image: np.ndarray, name: str) -> np.ndarray:  # noqa: ARG001
    return np.zeros_like(image)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReportInputs, Path, MemoryTracker]:
    folder = tmp_path_factory.mktemp("run")
    spoils = {BLANK: vanish, POOR: blur(0.5), PERFECT: None, RING: None, GSO: None}
    inputs = make_run(folder, spoils, side=24, ring=True)
    add_peer(inputs, folder / "peers")
    return inputs, folder / "reports", finish(inputs, folder / "reports", folder)


def add_peer(inputs: ReportInputs, peers: Path) -> None:
    """Another system's views of the box, true but for their colours, and a score of its own of the torus."""
    truth = ViewSet.open(inputs.test_views)
    cameras = truth.cameras("box", ViewKind.TARGET)
    images = truth.images("box", [camera.name for camera in cameras])
    images[..., :3] = (255 - images[..., :3]) * (images[..., 3:] > 0)
    seen = Imported(cameras, list(images))
    objects, groups = {"box": seen, "torus": Imported(own={"mask_iou_own": 0.5})}, {"box": "train", "torus": "train"}
    config = PeerConfig(layout="nerf", mesh_layout=None, sample=0)
    store_case(peers / "other", Case("other", "sparse", 1), objects, groups, config, truth.manifest.fingerprint)


@pytest.fixture(scope="module")
def finished(run: tuple[ReportInputs, Path, MemoryTracker]) -> tuple[ReportInputs, Path]:
    return run[:2]


@pytest.fixture(scope="module")
def tracked(run: tuple[ReportInputs, Path, MemoryTracker]) -> MemoryTracker:
    return run[2]


def finish(inputs: ReportInputs, reports: Path, work: Path) -> MemoryTracker:
    """What the evaluation logged."""
    params = load_params(PARAMS)
    tools = make_tools(work)
    reconstruction = params.reconstruct.model_copy(
        update={"method": "hull", "quality": Effort(resolution=24, iterations=0, batch=1), "vote": 1.0}
    )
    reconstruct_samples(inputs.samples, reconstruction, 0, inputs.meshes, tools)
    peers = str(inputs.samples.parent / "peers")
    scoring = params.evaluate.model_copy(
        update={"points": 1000, "iou_resolution": 32, "consistency_resolution": 16, "peers": peers}
    )
    evaluate(inputs, scoring, 0, reports, tools)
    assert isinstance(tools.tracker, MemoryTracker)
    return tools.tracker


def metrics_of(finished: tuple[ReportInputs, Path]) -> dict[str, dict[str, dict[str, float]]]:
    return json.loads((finished[1] / "metrics.json").read_text())


def test_evaluate_perfect_samples_reach_the_bounds(finished: tuple[ReportInputs, Path]) -> None:
    scores = metrics_of(finished)[PERFECT]
    assert scores.keys() == {"train", "held_out"}
    assert scores["train"]["objects"] == 2
    assert scores["train"]["psnr"] == MAX_PSNR
    assert scores["train"]["ssim"] == pytest.approx(1, abs=1e-4)
    assert scores["train"]["mask_iou"] == 1
    assert scores["train"]["volume_iou"] > 0.8
    assert scores["train"]["chamfer"] < 0.03


def test_evaluate_scores_what_other_systems_predict(finished: tuple[ReportInputs, Path]) -> None:
    scores = metrics_of(finished)["other-sparse-1"]["train"]
    assert (scores["mask_iou"], scores["mask_iou_own"], scores["objects"]) == (1, 0.5, 2)
    assert 5 < scores["psnr"] < 30
    assert "other, 1 view given" in StrictPage((finished[1] / "index.html").read_text()).text


def test_evaluate_blank_samples_score_like_the_white_baseline(finished: tuple[ReportInputs, Path]) -> None:
    scores = metrics_of(finished)[BLANK]["train"]
    assert scores["psnr"] == pytest.approx(scores["psnr_white"])
    assert scores["psnr_over_white"] == pytest.approx(0, abs=1e-5)
    assert scores["ssim"] == pytest.approx(scores["ssim_white"])
    assert scores["mask_iou"] == 0
    assert scores["meshes"] == 0
    assert "chamfer" not in scores


def test_evaluate_poor_samples_lie_between(finished: tuple[ReportInputs, Path]) -> None:
    blank, poor, perfect = (metrics_of(finished)[case]["train"] for case in (BLANK, POOR, PERFECT))
    assert blank["psnr"] < poor["psnr"] < perfect["psnr"]
    assert poor["psnr_copy"] == perfect["psnr_copy"]
    assert poor["chamfer"] > perfect["chamfer"]


def test_evaluate_says_whether_azimuth_is_known_in_every_protocol(
    finished: tuple[ReportInputs, Path], tracked: MemoryTracker
) -> None:
    """The box has two fronts, which its colours tell apart; the torus and the snowman are round, and coloured too."""
    metrics = metrics_of(finished)
    assert metrics[PERFECT]["train"]["azimuth_hit_rate"] == metrics[RING]["held_out"]["azimuth_hit_rate"] == 1
    assert metrics[GSO]["gso"]["azimuth_chance"] == pytest.approx(1 / 16)
    assert metrics[PERFECT]["train"]["azimuth_chance"] == pytest.approx(1 / 8)
    assert metrics[BLANK]["train"]["azimuth_hit_rate"] == 0
    assert "azimuth_hit_rate_se" in metrics[BLANK]["train"]
    logged = [values for _, values in tracked.parts["stage3"].history if "sparse/train/azimuth_hit_rate" in values]
    assert len(logged) == 2
    assert f"{PERFECT}/train/azimuth_hit_rate" in {name for _, values in tracked.history for name in values}
    text = StrictPage((finished[1] / "index.html").read_text()).text
    assert "Azimuth: Stage 3, 4 views given, draws 2 of 2 objects turned right, where guessing would 0.2" in text


def test_evaluate_ring_leaves_the_copied_view_out_of_its_baseline(finished: tuple[ReportInputs, Path]) -> None:
    scores = metrics_of(finished)[RING]["held_out"]
    assert scores["psnr"] == MAX_PSNR
    assert scores["psnr_copy"] < 25  # a copy of r00 on r00 itself would score MAX_PSNR and lift the mean to above 30
    assert scores["psnr_over_copy"] == pytest.approx(MAX_PSNR - scores["psnr_copy"])


def test_reconstruct_blank_views_are_rejected_with_a_reason(finished: tuple[ReportInputs, Path]) -> None:
    outcomes = {row.uid: row for row in read_ledger(finished[0].meshes)}
    blank = outcomes[f"{BLANK}/box"]
    assert isinstance(blank, Rejected)
    assert "visual hull is empty" in blank.reason
    assert isinstance(outcomes[f"{PERFECT}/box"], Done)
    assert not (finished[0].meshes / BLANK / "box.ply").exists()
    assert open_manifest(finished[0].meshes, Kind.MESHES).counts == {"done": 10, "rejected": 3, "failed": 0}


def test_evaluate_logs_a_run_per_method_with_equal_names_and_the_test_set_by_its_fingerprint(
    finished: tuple[ReportInputs, Path], tracked: MemoryTracker
) -> None:
    assert sorted(tracked.parts) == ["other", "stage1", "stage3"]
    one, three = (
        {
            step: values["sparse/train/psnr"]
            for step, values in tracked.parts[name].history
            if "sparse/train/psnr" in values
        }
        for name in ("stage1", "stage3")
    )
    assert one == {1: metrics_of(finished)[BLANK]["train"]["psnr"]}
    assert three == {1: metrics_of(finished)[POOR]["train"]["psnr"], 4: MAX_PSNR}
    gso, views = (
        (folder, folder.name, open_manifest(folder, Kind.VIEWS).fingerprint, "evaluation")
        for folder in (finished[0].gso_eval, finished[0].test_views)
    )
    assert tracked.datasets == tracked.parts["stage3"].datasets == [gso, views]
    assert tracked.parts["stage1"].datasets == [views]
    assert {row["method"] for row in tracked.tables["tables/cases"]} == {"stage1", "stage3", "other"}
    assert len(tracked.tables["tables/objects"]) == 15


def test_evaluate_curves_for_dvc_have_the_columns_that_dvc_yaml_draws(finished: tuple[ReportInputs, Path]) -> None:
    plots = yaml.safe_load(PARAMS.with_name("dvc.yaml").read_text())["plots"]
    drawn = [plot for entry in plots for plot in entry.values() if plot["x"] == "conditions"]
    files = {file for plot in drawn for file in plot["y"]}
    assert files == {f"reports/plots/curves/{stage}.csv" for stage in ("stage1", "stage2", "stage3")}
    with (finished[1] / "plots" / "curves" / "stage3.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["conditions"], row["group"]) for row in rows] == [("1", "held_out"), ("4", "held_out")]
    assert len(drawn) == 4
    assert all(rows[1][column] for plot in drawn for column in plot["y"].values())


def test_evaluate_results_for_hubs_are_as_their_library_reads_them(finished: tuple[ReportInputs, Path]) -> None:
    assert {path.name for path in (finished[1] / "eval_results").iterdir()} == {"stage1.yaml", "stage3.yaml"}
    content = yaml.safe_load((finished[1] / "eval_results" / "stage3.yaml").read_text())
    entries = {entry.task_id: entry for entry in parse_eval_result_entries(content)}
    entry = entries["sparse_train_4_psnr"]
    assert entry.value == pytest.approx(metrics_of(finished)[PERFECT]["train"]["psnr"], rel=1e-5)
    assert entry.dataset_id == load_params(PARAMS).evaluate.benchmark
    assert entry.notes is not None
    assert "mean over 2 train objects" in entry.notes


def test_export_model_puts_the_scores_beside_the_card_unless_they_are_of_other_weights(
    finished: tuple[ReportInputs, Path], tmp_path: Path
) -> None:
    inputs, reports = finished
    scores = export_model(inputs.stages["stage3"], reports, tmp_path / "hub")
    assert scores == tmp_path / "hub" / ".eval_results" / "mvdiffusion-pp.yaml"
    assert scores.read_bytes() == (reports / "eval_results" / "stage3.yaml").read_bytes()
    assert (tmp_path / "hub" / "history.csv").exists()
    with pytest.raises(ValueError, match="hub exists"):
        export_model(inputs.stages["stage3"], reports, tmp_path / "hub")
    params = load_params(PARAMS).train_stage3.model_copy(update={"kept_targets": 1})
    seal(tmp_path / "stage3", Kind.DIFFUSION_MODEL, config=params, inputs={})
    with pytest.raises(ValueError, match=r"does not evaluate .*stage3; make it with"):
        export_model(tmp_path / "stage3", reports, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_evaluate_tables_have_a_row_per_case_and_group(finished: tuple[ReportInputs, Path]) -> None:
    with (finished[1] / "plots" / "cases.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 10
    row = next(row for row in rows if row["case"] == POOR and row["group"] == "train")
    assert float(row["psnr"]) == pytest.approx(metrics_of(finished)[POOR]["train"]["psnr"], rel=1e-4)
    with (finished[1] / "plots" / "objects.csv").open(newline="") as handle:
        assert len(list(csv.DictReader(handle))) == 15


def test_report_is_a_valid_page_that_needs_no_other_file(finished: tuple[ReportInputs, Path]) -> None:
    page = StrictPage((finished[1] / "index.html").read_text())
    assert page.missing_targets() == []
    assert len(page.images) > 30
    assert "<script>lamp</script> rejected score 3.1 < 5.0" in page.text
    assert "4 objects tested" in page.text, "box, snowman, and the torus as a training object and as one of GSO's"
    assert "All objects are shown." in page.text
    assert {"tables", "curves", "results", "extremes", "samples", "training", "data", "settings"} == set(page.ids)


def test_report_shows_the_numbers_the_reasons_and_the_pictures(finished: tuple[ReportInputs, Path]) -> None:
    page = StrictPage((finished[1] / "index.html").read_text())
    poor = metrics_of(finished)[POOR]["train"]
    assert {f"{poor['psnr']:.2f}", f"{poor['chamfer']:.4f}"} <= set(page.text.split())
    assert "2 x score … < …" in page.text
    assert "visual hull is empty" in page.text
    assert page.text.count("no mesh: the views enclose nothing") == 3
    assert {
        "box: true mesh, in colour and untextured",
        "box: views of Stage 3, 4 views given, under each its error",
    } <= set(page.images.values())
    assert "training loss and validation loss of train-stage3 over samples seen" in page.images.values()


def test_report_counts_the_views_that_failed_a_quality_gate(finished: tuple[ReportInputs, Path]) -> None:
    shown = StrictPage((finished[1] / "index.html").read_text()).text
    assert "render: views that failed a quality gate in 2 objects" in shown
    assert "blown 1 1 clipped 3 2" in shown
    assert "torus clipped t03 t11" in shown
    assert "render-test: views that failed" not in shown


@pytest.mark.slow
def test_evaluate_same_inputs_give_the_same_bytes(finished: tuple[ReportInputs, Path], tmp_path: Path) -> None:
    inputs, reports = finished
    before = {path.relative_to(inputs.meshes): path.read_bytes() for path in inputs.meshes.rglob("*.ply")}
    finish(inputs, tmp_path / "again", tmp_path)
    assert {path.relative_to(inputs.meshes): path.read_bytes() for path in inputs.meshes.rglob("*.ply")} == before
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (reports, tmp_path / "again")
    )
    assert first == second


@pytest.mark.slow
def test_reconstruct_and_evaluate_of_other_samples_of_the_same_recipe_make_anew(tmp_path: Path) -> None:
    """Both keep no unfinished work: what stands in their outputs was made of what lies in `samples` now."""
    first, other = (
        make_run(tmp_path / name, {PERFECT: spoil}, side=16) for name, spoil in (("first", None), ("other", blur(0.5)))
    )
    assert open_manifest(first.samples, Kind.SAMPLES) == open_manifest(other.samples, Kind.SAMPLES)
    finish(first, tmp_path / "reports", tmp_path)
    mesh = (first.meshes / PERFECT / "box.ply").read_bytes()
    finish(replace(first, samples=other.samples), tmp_path / "reports", tmp_path)
    assert (first.meshes / PERFECT / "box.ply").read_bytes() != mesh
    assert metrics_of((first, tmp_path / "reports"))[PERFECT]["train"]["psnr"] < MAX_PSNR
    assert not (tmp_path / "work").exists()


def test_evaluate_unsealed_input_stops_before_any_work(finished: tuple[ReportInputs, Path], tmp_path: Path) -> None:
    inputs, _ = finished
    (inputs.catalog / "manifest.json").rename(tmp_path / "manifest.json")
    try:
        with pytest.raises(ValueError, match=r"catalog has no manifest\.json"):
            evaluate(inputs, load_params(PARAMS).evaluate, 0, tmp_path / "reports", make_tools(tmp_path))
    finally:
        (tmp_path / "manifest.json").rename(inputs.catalog / "manifest.json")
    assert not (tmp_path / "reports").exists()


def test_evaluate_gso_object_without_a_true_mesh_has_scores_of_its_views_alone(
    finished: tuple[ReportInputs, Path],
) -> None:
    scores = metrics_of(finished)[GSO]
    assert scores.keys() == {"gso"}
    assert scores["gso"]["psnr"] == MAX_PSNR
    assert "chamfer" not in scores["gso"]
    assert StrictPage((finished[1] / "index.html").read_text()).text.count("no true mesh is given") == 1
    assert (finished[0].meshes / GSO / "torus.ply").exists()
