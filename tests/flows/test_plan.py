import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from flows.plan import PlanRow, plan, render_plan
from tests.tiny_repo import copy_repo, edit, repro


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A project in which everything is up to date."""
    return copy_repo(tmp_path / "repo", made=True)


def test_plan_before_the_first_run_runs_everything(tmp_path: Path) -> None:
    assert plan(copy_repo(tmp_path / "repo")) == [
        PlanRow("first", "run", ("never run",)),
        PlanRow("second", "run", ("never run",)),
        PlanRow("third", "run", ("never run",)),
    ]


def test_plan_after_a_run_skips_everything(repo: Path) -> None:
    assert plan(repo) == [PlanRow(name, "skip", ()) for name in ("first", "second", "third")]


def test_plan_of_changed_parameter_names_the_field_and_both_values(repo: Path) -> None:
    edit(repo, "sun: 1.5", "sun: 2.5")
    assert plan(repo) == [
        PlanRow("first", "run", ("first.light.sun: 1.5 -> 2.5",)),
        PlanRow("second", "maybe", ("maybe: upstream `first` runs",)),
        PlanRow("third", "maybe", ("maybe: upstream `first` runs, `second` may run",)),
    ]


def test_plan_of_target_leaves_out_what_it_does_not_need(repo: Path) -> None:
    edit(repo, "{depth: 3, seconds: 0, exit: 0}\n", "{depth: 4, seconds: 0, exit: 0}\n")
    assert [(row.stage, row.action) for row in plan(repo, ["second"])] == [("first", "skip"), ("second", "run")]


def test_plan_of_missing_output_restores_it_from_the_cache(repo: Path) -> None:
    shutil.rmtree(repo / "data/second")
    rows = plan(repo)
    assert rows[1] == PlanRow("second", "restore", ("data/second missing",))
    assert rows[2] == PlanRow("third", "restore", ("data/second missing",))


@pytest.mark.slow(seconds=2)
def test_plan_of_parameter_set_back_restores_the_earlier_result(repo: Path) -> None:
    edit(repo, "sun: 1.5", "sun: 2.5")
    repro(repo, "first")
    edit(repo, "sun: 2.5", "sun: 1.5")
    assert plan(repo, ["first"]) == [PlanRow("first", "restore", ("first.light.sun: 2.5 -> 1.5",))]


def test_plan_on_a_fresh_clone_without_data_runs_and_says_what_is_missing(repo: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "add", "dvc.lock"], cwd=repo, check=True, timeout=600)
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "lock"], cwd=repo, check=True, timeout=600
    )
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(repo), str(clone)], check=True, timeout=600)
    rows = plan(clone)
    assert [row.action for row in rows] == ["run", "run", "run"]
    assert rows[0].reasons == ("data/first missing",)
    assert rows[1].reasons == ("data/first missing", "data/second missing")


def test_plan_table_shows_stage_action_and_reason(repo: Path) -> None:
    edit(repo, "sun: 1.5", "sun: 2.5")
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(render_plan(plan(repo)))
    line = next(line for line in console.export_text().splitlines() if "first.light.sun" in line)
    assert line.split() == ["first", "run", "first.light.sun:", "1.5", "->", "2.5"]
