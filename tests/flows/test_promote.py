"""@champion moves by what was measured, and only by that, through the command line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.__main__ import main
from flows.models import open_registry, resolve_model
from infra.registry import Registry, Version
from tests.flows.promotion_project import make_model, make_report, make_test_set
from tests.project_copy import ROOT, write_profile

pytestmark = pytest.mark.slow(seconds=2)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    make_test_set(root, "a" * 64)
    return root


@pytest.fixture
def root(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    monkeypatch.setenv("MVDPP_PROFILE", "ci")
    return project


@pytest.fixture
def registry(root: Path) -> Registry:
    return open_registry(root, "ci")


Promote = Callable[..., int]


@pytest.fixture
def promote(root: Path, request: pytest.FixtureRequest) -> Promote:
    """Make a model with a score and promote it in a registered model of this test alone; the exit code."""
    name = name_of(request)

    def run(text: str, psnr: float, *words: str) -> int:
        model = root / name / text / "stage3"
        report = root / name / text / "reports"
        if not model.exists():
            make_model(model, f"{name} {text}")
            make_report(report, model, root / "data/test_views", psnr)
        given = ["--model", str(model.relative_to(root)), "--report", str(report.relative_to(root))]
        return main(["promote", "--name", name, *given, *words])

    return run


def name_of(request: pytest.FixtureRequest) -> str:
    return request.node.name.removeprefix("test_").partition("[")[0][:40]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return name_of(request)


def champion(registry: Registry, name: str) -> Version:
    found = registry.champion(name)
    assert found is not None
    return found


def versions(registry: Registry, name: str) -> list[str]:
    return sorted(str(row.version) for row in registry.client.search_model_versions(f"name = '{name}'"))


def test_better_model_takes_the_alias_and_both_numbers_stay_as_tags(
    promote: Promote, registry: Registry, name: str, capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    assert promote("first", 19.0) == 0
    assert f"is models:/{name}@champion now, version 1, with psnr 19 +- 0.2 over 4 objects; there was no" in (
        capsys.readouterr().out
    )
    assert promote("second", 19.5) == 0
    second = champion(registry, name)
    assert second.number == "2"
    assert second.tags["promotion.reason"] == "psnr 19.5 +- 0.2 over 4 objects, better by 0.5 than the champion's 19"
    expected = {"value": "19.5", "champion_before": "1", "champion_value": "19", "margin": "0.1", "forced": "false"}
    assert {key: second.tags[f"promotion.{key}"] for key in expected} == expected
    first = registry.client.get_model_version(name, "1")
    assert first.tags["promotion.replaced_by"] == "2"
    assert promote("second", 19.5) == 0
    assert f"is {name}@champion already: version 2" in capsys.readouterr().out
    folder = resolve_model(f"models:/{name}@champion", root, "ci")
    assert (folder / "unet/weights.safetensors").read_text() == f"{name} second"
    assert not (folder / "unet_raw").exists()


def test_model_that_is_not_better_is_refused_with_exit_code_1_and_not_registered(
    promote: Promote, registry: Registry, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote("first", 19.0) == 0
    assert promote("second", 19.05) == 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("not promoted: ")
    assert "better by 0.05 beside the champion's 19; it must be better by more than 0.1" in said
    assert said.endswith(f"(models:/{name}@champion is version 1)")
    assert versions(registry, name) == ["1"]
    assert promote("second", 19.05, "--margin", "0.01") == 0


def test_dry_run_says_what_would_happen_and_changes_nothing(
    promote: Promote, registry: Registry, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote("first", 19.0, "--dry-run") == 0
    assert "would be promoted: " in capsys.readouterr().out
    assert registry.champion(name) is None
    assert versions(registry, name) == []
    assert promote("first", 19.0, "--threshold", "20", "--dry-run") == 1
    assert "is below the threshold 20" in capsys.readouterr().out


def test_other_test_set_is_refused_by_both_hashes_and_forced_with_a_reason(
    promote: Promote, registry: Registry, name: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote("first", 19.0) == 0
    before = champion(registry, name).tags["promotion.test_set_hash"].strip('"')
    make_test_set(root, "b" * 64)
    try:
        assert promote("second", 25.0) == 2
        said = capsys.readouterr().err
        assert "the test sets differ: the candidate was compared with test_views " in said
        assert f"the champion with test_views {before}; score both alike, or give --force with a reason" in said
        assert versions(registry, name) == ["1"]
        assert promote("second", 25.0, "--force", " ") == 2
        assert "--force needs the reason" in capsys.readouterr().err
        assert promote("second", 25.0, "--force", "more test objects") == 0
        tags = champion(registry, name).tags
        assert tags["promotion.reason"] == "psnr 25 +- 0.2 over 4 objects; forced: more test objects"
        assert tags["promotion.forced"] == "true"
        assert main(["promote", "--name", name, "--model", f"models:/{name}/1", "--force", "2 draws no wheels"]) == 0
        assert champion(registry, name).number == "1", "an earlier version needs no report"
    finally:
        make_test_set(root, "a" * 64)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--metric", "ssim"], r"reports/metrics.json has no ssim of stage3-sparse-1/held_out; it has "),
        (["--metric", "objects"], "metric 'objects' cannot decide"),
        (["--conditions", "4"], "has no case stage3-sparse-4; it has stage3-sparse-1"),
        (["--protocol", "round"], "protocol 'round' is none of sparse, ring, gso"),
        (["--group", "gso"], "has no group gso of stage3-sparse-1; it has held_out"),
        (["--model", "data/test_views"], "data/test_views holds 'views', expected 'diffusion_model'"),
        (["--model", "nowhere"], "the model nowhere is no folder here, and no id at a hub"),
        (["--model", "models:/nobody@champion"], "has no models:/nobody@champion"),
        (["--margin", "-1"], "--margin"),
    ],
)
def test_question_without_an_answer_is_a_sentence(
    promote: Promote, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert promote("first", 19.0, *words) == 2
    assert sentence in capsys.readouterr().err


def test_report_of_other_weights_is_refused(
    promote: Promote, root: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote("first", 19.0, "--dry-run") == 0
    make_model(root / name / "other/stage3", "of another training")
    assert promote("first", 19.0, "--model", f"{name}/other/stage3") == 2
    assert f"does not evaluate {name}/other/stage3" in capsys.readouterr().err


def test_gate_of_the_profile_is_what_is_asked(
    promote: Promote, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = write_profile(root / "gated.yaml", promote={"metric": "chamfer", "margin": 0.01, "threshold": 0.05})
    monkeypatch.setenv("MVDPP_PROFILE", str(profile))
    assert promote("first", 19.0) == 1
    assert "chamfer 0.1 over 4 objects is above the threshold 0.05" in capsys.readouterr().out


def test_folder_is_resolved_without_mlflow(root: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom flows.models import resolve_model\n"
        "assert resolve_model('models_out/stage3', Path.cwd(), 'ci') == Path('models_out/stage3')\n"
        "print([name for name in ('torch', 'mlflow', 'dvc', 'sqlalchemy') if name in sys.modules])"
    )
    (root / "models_out" / "stage3").mkdir(parents=True)
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=env, capture_output=True, text=True, timeout=900
    )
    assert answer.stdout == "[]\n", answer.stderr
