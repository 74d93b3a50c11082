import json
import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from rich.console import Console

from flows.run_records import RunRecord, note_start, write_record
from flows.status import deep_links, render_results, render_status, stage_status, training_links, training_runs
from tasks.artifacts.atomic import write_json
from tests.tiny_repo import copy_repo, edit


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return copy_repo(tmp_path / "repo", made=True)


def printed(thing: object) -> str:
    with Path(os.devnull).open("w") as sink:
        console = Console(width=160, record=True, file=sink)
        console.print(thing)
        return console.export_text()


def test_status_says_what_is_stale_and_what_it_holds(repo: Path) -> None:
    edit(repo, "second: {depth: 3", "second: {depth: 4")
    counts = {"done": 5, "rejected": 2, "failed": 1}
    write_json(repo / "data/first/manifest.json", {"counts": counts})
    write_record(repo, "second", RunRecord("run2", "key", 12.4))
    note_start(repo, "third", "run3")
    rows = {row.stage: row for row in stage_status(repo)}
    assert rows["first"].counts == counts
    assert rows["first"].when is not None
    assert (rows["second"].state, rows["second"].run_id, rows["second"].seconds) == ("stale", "run2", 12.4)
    assert (rows["second"].counts, rows["second"].when) == ({}, None)
    assert rows["third"].state == "running"
    line = next(line for line in printed(render_status(rows.values())).splitlines() if line.startswith(" first"))
    assert line.split()[2:5] == ["5", "2", "1"]


def test_status_of_stages_below_a_stale_one_says_so(repo: Path) -> None:
    edit(repo, "sun: 1.5", "sun: 2.5")
    assert [row.state for row in stage_status(repo)] == ["stale", "stale upstream", "stale upstream"]


def test_status_of_a_finished_project_is_up_to_date(repo: Path) -> None:
    assert {row.state for row in stage_status(repo)} == {"up to date"}


def test_results_names_what_is_there(tmp_path: Path) -> None:
    for name in ("data/views/sheets/a.png", "data/samples/ring-1/sheets/b.png", "data/meshes/x/a.glb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/index.html").write_text("")
    write_json(tmp_path / "models_out/stage1/manifest.json", {})
    write_json(tmp_path / "models_out/stage1/model_index.json", {})
    write_json(tmp_path / "models_out/stage2/model_index.json", {})  # which is not sealed
    write_json(tmp_path / "models_out/distilled/manifest.json", {})  # off
    text = printed(render_results(tmp_path))
    for words in (
        "reports/index.html",
        "data/views/sheets/ (1 file)",
        "data/samples/ring-1/sheets/",
        "models_out/stage1",
    ):
        assert words in text
    assert "data/meshes/ (1 file)" in text
    assert "models_out/stage2" not in text
    assert "models_out/distilled" not in text


def test_results_before_the_first_run_has_nothing(tmp_path: Path) -> None:
    assert printed(render_results(tmp_path)).count("none yet") == 4


def test_deep_links_compare_the_trainings(tmp_path: Path) -> None:
    for stage in ("train-stage1", "train-stage3", "render"):
        write_record(tmp_path, stage, RunRecord(f"run-{stage}", "", 1.0, experiment_id="1"))
    runs = training_runs(tmp_path)
    assert runs == ["run-train-stage1", "run-train-stage3"]
    links = deep_links("http://127.0.0.1:5000", "1", runs)
    assert links["all runs"].startswith("http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning")
    assert "attributes.run_id IN ('run-train-stage1', 'run-train-stage3')" in unquote(links["curves"])
    query = unquote(links["side by side"]).partition("compare-runs?")[2]
    _, runs_word, experiments_word = query.split("&")
    assert json.loads(runs_word.removeprefix("runs=")) == runs
    assert json.loads(experiments_word.removeprefix("experiments=")) == ["1"]
    assert training_links(tmp_path, None) == [f"{name}: {link}" for name, link in links.items()]
    assert (
        training_links(tmp_path, "https://mlflow.example/")[0]
        == "all runs: https://mlflow.example/#/experiments/1/runs?workflowType=machine_learning&startTime=ALL"
    )
    text = printed(render_results(tmp_path)).replace("\n", "").replace("│", "").replace(" ", "")
    assert links["curves"] in text, "a link is folded, never cut"


def test_links_of_records_without_an_experiment_are_left_out(tmp_path: Path) -> None:
    assert training_links(tmp_path, None) == []
    write_record(tmp_path, "train-stage1", RunRecord("run", "", 1.0))
    assert training_links(tmp_path, None) == []
