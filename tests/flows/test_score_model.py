"""A registered model is scored like a stage of the checkout, though no stage here has trained it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from flows.__main__ import main
from flows.models import open_registry
from flows.params import Params, load_params
from infra.logged_models.weights import WeightList
from tasks.artifacts.cases import MESHES, VIEWS, Case, TestSet, sampled_cases
from tasks.artifacts.manifest import Kind, open_manifest, seal
from tasks.artifacts.views import ViewSet
from tasks.commands.score_model import plan_model
from tasks.commands.score_model_options import ScoreModelOptions
from tasks.peers.store import current_peers
from tasks.sample import sample_test_sets
from tests.models.toy_models import NOISE
from tests.project_copy import ROOT, write_profile
from tests.tasks.test_sample import write_gso_eval, write_stage, write_test_views
from tests.tasks.toolbox import make_tools

pytestmark = pytest.mark.slow(seconds=3)  # what they share takes 6 s to make
ROW, REFERENCE = "toy-champion", "models:/toy@champion"
CASES = [Case(ROW, "sparse", 1), Case(ROW, "sparse", 2)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with test views, which has trained nothing, and a tracking store with a registered model."""
    root = tmp_path_factory.mktemp("project")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["sample"] |= {"steps": 2, "conditions": [1, 2, 4], "protocols": ["sparse", "gso"]}
    params["reconstruct"] |= {"method": "hull", "vote": 0.5, "quality": {"resolution": 16, "iterations": 0, "batch": 1}}
    params["evaluate"] |= {"points": 200, "iou_resolution": 16, "consistency_resolution": None}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    (root / "data").mkdir()
    write_test_views(root / "data")
    model = write_stage(root / "elsewhere" / "stage3", NOISE)
    registry, weights = open_registry(root, "ci"), WeightList.of(model)
    logged = registry.log(model, "stage3", weights, {})
    registry.set_champion("toy", registry.register("toy", logged, weights, model, tags={}, note="made for a test"))
    return root


@pytest.fixture
def root(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    monkeypatch.setenv("MVDPP_PROFILE", str(write_profile(project / "serial.yaml", pool="serial")))
    return project


def asked(root: Path) -> Params:
    return load_params(root / "params.yaml")


def test_score_model_leaves_the_views_of_the_stage_and_a_row_for_the_report(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score-model", REFERENCE]) == 0
    said = capsys.readouterr().out
    peer = root / "data/peers" / ROW
    assert sampled_cases(peer / VIEWS) == CASES
    for case in CASES:
        assert f"{REFERENCE}: {case.name}" in said
    assert "psnr " in said
    assert "the rows toy-champion-sparse-1, toy-champion-sparse-2" in said
    assert (peer / MESHES / "manifest.json").exists()
    truth = open_manifest(root / "data/test_views", Kind.VIEWS).fingerprint
    assert current_peers(root / "data/peers", {"test_views": truth}, print) == [peer]
    assert current_peers(root / "data/peers", {"test_views": "another"}, print) == []

    stages, config = {"stage3": root / "elsewhere" / "stage3"}, asked(root).sample
    config = config.model_copy(update={"stages": ("stage3",), "conditions": (1, 2), "protocols": ("sparse",)})
    gso = write_gso_eval(root / "empty", [])
    sample_test_sets(root / "data/test_views", gso, stages, config, 0, root / "samples", make_tools(root))
    for case in CASES:
        ours = ViewSet.open(root / "samples" / case.name.replace(ROW, "stage3"))
        found = ViewSet.open(peer / VIEWS / case.name)
        assert found.names("cone") == ours.names("cone")
        assert np.array_equal(found.images("cone", found.names("cone")), ours.images("cone", ours.names("cone")))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([REFERENCE, "--set", "gso"], "data/gso_eval is not here; make it with `python -m flows run gso-eval`"),
        ([REFERENCE, "--set", "all"], "set 'all' is none of sparse, ring, gso"),
        ([REFERENCE, "--conditions", "9"], "--conditions is 9; the model models:/toy@champion takes at most 3"),
        ([REFERENCE, "--name", "stage3"], "name 'stage3' is one of our own models; choose another with --name"),
        (["elsewhere/stage3"], "name 'stage3' is one of our own models"),
        (["elsewhere"], "elsewhere is no saved pipeline: it lacks model_index.json"),
        (["models:/toy@winner"], "has no models:/toy@winner"),
    ],
    ids=["no-set", "no-protocol", "too-many", "reserved", "own-folder", "no-model", "no-alias"],
)
def test_score_model_refuses_what_it_cannot_score_and_keeps_the_row(
    words: list[str], sentence: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = root / "data/peers" / ROW / "kept"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.touch()
    assert main(["score-model", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert kept.exists()
    shutil.rmtree(kept.parent)


def test_plan_gives_a_model_as_many_views_as_it_was_trained_with_and_the_test_set_has(tmp_path: Path) -> None:
    test_sets: dict[TestSet, Path] = {"test_views": write_test_views(tmp_path), "gso_eval": tmp_path / "none"}
    config = load_params(ROOT / "params.yaml").sample.model_copy(update={"conditions": (1, 3, 4)})
    model = write_stage(tmp_path / "model", NOISE)

    def conditions(*asked: int, stage: str | None = None) -> list[int]:
        facts = {"stage": stage} if stage else {}
        seal(model, Kind.DIFFUSION_MODEL, config=NOISE, inputs={}, facts=facts)
        options = ScoreModelOptions(model, "one", ["sparse"], list(asked) or None)
        return [case.conditions for case in plan_model(options, model, config, test_sets).cases]

    assert conditions() == [1, 3]
    assert conditions(stage="stage3") == [1, 3]
    assert conditions(stage="stage2") == [1]
    assert conditions(2, stage="stage2") == [2]
    (model / "unet" / "config.json").write_text('{"max_condition_views": 10}')
    with pytest.raises(ValueError, match=r"4 condition views are asked for, and objects of .*test_views have 3; give"):
        conditions()
