import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from flows.__main__ import main
from flows.app import app
from flows.pipeline import STAGES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's own graph and parameters, without its code."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in ("source", "gso_source", "peers"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "README.md").touch()
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = True\n    analytics = false\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def break_params(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("min_score: 5.0", "min_score: 50.0"))


def test_help_shows_examples_and_imports_nothing_heavy() -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flows", "--help"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "python -m flows run render --set" in answer.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in answer.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"prefect", "mlflow", "dvc", "torch", "ray", "numpy", "pydantic", "yaml", "rich"}


@pytest.mark.usefixtures("project")
def test_plan_lists_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["catalog", "run", "never", "run"] in [line.split() for line in lines]
    assert len(lines) == 2 + len(STAGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper.yaml", "one_gpu.yaml", "node.yaml"])
def test_plan_of_shipped_params_lists_every_stage(project: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    shutil.copyfile(ROOT / "params" / name, project / "params.yaml")
    assert main(["plan"]) == 0
    actions = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[2:]]
    assert actions == [[stage, "run"] for stage in STAGES]


def test_plan_of_a_wrong_parameter_is_its_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    break_params(project)
    assert main(["plan"]) == 2
    assert "select.min_score: Input should be less than or equal to 10 (got 50.0)" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["plan", "rendr"], ["run", "rendr"]])
@pytest.mark.usefixtures("project")
def test_target_that_does_not_exist_is_a_sentence(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    assert "'rendr' is not a stage of dvc.yaml" in capsys.readouterr().err


def test_run_with_a_wrong_value_changes_and_starts_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "params.yaml").read_bytes()
    assert main(["run", "--set", "render.conditions=0"]) == 2
    assert "render.conditions" in capsys.readouterr().err
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.usefixtures("project")
def test_status_before_the_first_run_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    assert ["render", "never", "run"] in [line.split() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.usefixtures("project")
def test_profile_that_does_not_exist_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MVDPP_PROFILE", "moon")
    assert main(["tag-runs"]) == 2
    assert "profile 'moon' does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fly"], "No such command 'fly'; see `python -m flows --help`"),
        (["run", "--fast"], "No such option: --fast"),
        (["stage"], "Missing argument 'NAME'; see `python -m flows stage --help`"),
        (
            ["ui", "--port", "0"],
            "'--port': Input should be greater than or equal to 1 (got 0); see `python -m flows ui",
        ),
        (["ui", "--port", "x"], "'--port': Input should be a valid integer"),
    ],
)
def test_words_that_are_not_understood_are_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_no_verb_shows_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "tag-runs" in capsys.readouterr().err


def test_every_verb_argument_and_option_is_explained() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {"plan", "run", "stage", "sample", "tag-runs", "graph"} <= set(commands)
    for command in commands.values():
        assert command.help
        assert [param.name for param in command.params if not (param.help or "").endswith(".")] == []


@pytest.mark.slow(seconds=3)
@pytest.mark.parametrize(("old", "new"), [("sync", "tag-runs"), ("panel", "results")])
@pytest.mark.usefixtures("project")
def test_names_of_earlier_versions_still_work_and_are_hidden(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    monkeypatch.setenv("MVDPP_PROFILE", "ci")
    said = []
    for verb in (old, new):
        assert main([verb]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != ""
    assert main(["--help"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert new in listed
    assert old not in listed


def test_interrupted_verb_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(root: Path) -> None:
        del root
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.status.stage_status", interrupt)
    assert main(["status"]) == 130


@pytest.mark.slow
def test_run_makes_the_target_with_the_value_that_was_set(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MVDPP_PROFILE", "ci")
    (project / "dvc.yaml").write_text(
        "stages:\n  render:\n    cmd: mkdir -p data/views && cp params.yaml data/views\n"
        "    params: [render]\n    outs: [data/views]\n"
    )
    assert main(["run", "render", "--set", "render.conditions=31"]) == 0
    assert "conditions: 31" in (project / "data/views/params.yaml").read_text()
    assert "Results" in capsys.readouterr().out
    assert main(["plan"]) == 0
    assert ["render", "skip"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_run_whose_stage_fails_says_so_by_its_exit_code(project: Path) -> None:
    (project / "dvc.yaml").write_text("stages:\n  render:\n    cmd: exit 3\n    params: [render]\n    outs: [data/v]\n")
    assert main(["run"]) == 1
