"""dvc.yaml and prefect.yaml say what flows/pipeline.py says."""

import shutil
from pathlib import Path

import pytest
import yaml

from flows.__main__ import main
from flows.graph import dvc_stages, stale_files, write_files
from flows.pipeline import FLOWS, STAGES
from infra.versioning import Repository

ROOT = Path(__file__).parents[2]
FILES = ("dvc.yaml", "prefect.yaml")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in FILES:
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_files_of_the_project_say_what_the_tables_say() -> None:
    assert stale_files(ROOT) == [], "run `python -m flows graph --write`"


def test_deployments_carry_the_pool_as_a_tag_by_which_automations_find_their_runs() -> None:
    from flows.servers import WORK_POOL  # Prefect costs every session of tests a second and a half

    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert [row["tags"] for row in deployments] == [[WORK_POOL]] * len(FLOWS)


def test_dvc_reads_the_stages_as_the_table_has_them() -> None:
    folders = {"${catalog.folder}": "data/source", "${render_test.folder}": "data/source"} | {
        "${gso_eval.folder}": "data/gso_source",
        "${evaluate.peers}": "data/peers",
    }
    for stage, info in zip(STAGES.values(), Repository(ROOT).stages(), strict=True):
        assert (info.name, info.cmd, info.desc) == (stage.name, stage.command, stage.description)
        assert info.deps == tuple(folders.get(dep, dep) for dep in stage.deps)
        assert info.outs == (stage.out.as_posix(),)
        assert set(info.params) == set(stage.params)
        assert info.policy == {"retries": stage.policy.retries, "timeout_seconds": stage.policy.timeout_seconds}


def test_deployments_share_the_work_pool_that_is_served() -> None:
    from flows.servers import WORK_POOL  # Prefect costs every session of tests a second and a half

    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert [row["entrypoint"] for row in deployments] == [flow.entrypoint for flow in FLOWS]
    assert {row["work_pool"]["name"] for row in deployments} == {WORK_POOL}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("dvc.yaml", "params: [seed, encode]", "params: [seed]"),
        ("dvc.yaml", "deps: [data/objects]", "deps: [data/objects, data/selected]"),
        ("dvc.yaml", "stage normalize", "stage normalize --fast"),
        ("prefect.yaml", "concurrency_limit: 1", "concurrency_limit: 2"),
    ],
)
def test_file_that_differs_is_named_and_written_again(copy: Path, name: str, old: str, new: str) -> None:
    right = (copy / name).read_text()
    assert old in right
    (copy / name).write_text(right.replace(old, new, 1))
    assert stale_files(copy) == [name]
    assert write_files(copy) == [name]
    assert (copy / name).read_text() == right
    assert write_files(copy) == []


def test_file_whose_stages_stand_in_another_order_is_stale(copy: Path) -> None:
    content = yaml.safe_load((copy / "dvc.yaml").read_text())
    content["stages"] = dict(reversed(content["stages"].items()))
    (copy / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    assert stale_files(copy) == ["dvc.yaml"]


def test_metrics_plots_and_comments_survive_writing(copy: Path) -> None:
    path = copy / "dvc.yaml"
    path.write_text(path.read_text().replace("retries: 2", "retries: 7"))
    write_files(copy)
    assert path.read_text() == (ROOT / "dvc.yaml").read_text()
    content = yaml.safe_load(path.read_text())
    assert content["metrics"] == ["reports/metrics.json"]
    assert len(content["plots"]) == 6
    assert content["stages"] == dvc_stages(STAGES.values())


def test_graph_verb_says_what_is_stale_and_how_to_mend_it(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy)
    path = copy / "dvc.yaml"
    path.write_text(path.read_text().replace("retries: 2", "retries: 7"))
    assert main(["graph"]) == 1
    assert "dvc.yaml differs from flows/pipeline.py; run `python -m flows graph --write`" in capsys.readouterr().err
    assert main(["graph", "--write"]) == 0
    assert main(["graph"]) == 0
