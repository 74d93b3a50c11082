import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's own graph and parameters, without its code."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "data/source").mkdir(parents=True)
    (tmp_path / "data/source/README.md").touch()
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = True\n    analytics = false\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def break_params(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("min_score: 5.0", "min_score: 50.0"))


def test_help_answers_at_once_with_examples() -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flows", "--help"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert time.perf_counter() - start < 5
    assert "python -m flows run render --set" in answer.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in answer.stderr.splitlines()}
    assert not imported & {"prefect", "mlflow", "dvc", "torch", "ray", "numpy", "pydantic", "yaml"}


@pytest.mark.usefixtures("project")
def test_plan_lists_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["catalog", "run", "never", "run"] in [line.split() for line in lines]
    assert len(lines) == 16


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
    assert main(["sync"]) == 2
    assert "profile 'moon' does not exist" in capsys.readouterr().err


def test_verb_that_does_not_exist_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fly"])
    assert stopped.value.code == 2
    assert "plan" in capsys.readouterr().err


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
