"""Stage baselines: reconstructions of true views, scored cameras, resuming, and what is left out."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from flows.params import load_params
from models.config import Effort, ReconstructConfig
from render.views import ViewKind, sparse_test_cameras
from tasks.artifacts.cases import Case, sampled_cases
from tasks.artifacts.manifest import Kind, open_manifest, read_ledger
from tasks.artifacts.randomness import rng_for
from tasks.artifacts.views import ViewSet
from tasks.baselines import make_baselines
from tasks.config import BaselinesConfig
from tasks.evaluation.baseline_objects import BOUND
from tasks.evaluation.predictions import Predictions, Scoring, score_predictions
from tasks.evaluation.summary import summarize
from tasks.outcome import Done, Rejected
from tests.tasks.made_run import PARAMS, draw, seal_view_set, shapes
from tests.tasks.toolbox import make_tools, notes_of

SIDE = 24
PARAMETERS = load_params(PARAMS)
MEASURED = ("registered_views", "registered_any", "registered_all")
CONFIG = BaselinesConfig(recipe=1, methods=("hull-gt-pose", "neus-gt-pose", "sfm", "upper-bound"), conditions=(1, 4))
RECONSTRUCT = ReconstructConfig(recipe=1, method="sdf", quality=Effort(resolution=16, iterations=4, batch=64), vote=0.9)
SNOWMAN = shapes()["snowman"]


def seal_truth(folder: Path) -> Path:
    """Eight targets and four conditions of one object, and an object that no view sees."""
    render = PARAMETERS.render.model_copy(update={"resolution": SIDE, "elevations_deg": (-30.0, 30.0)})
    given, targets = sparse_test_cameras(render, conditions=4, azimuth="grid", rng=rng_for(0, "given"))
    cameras = [*targets[::2], *given]
    empty = [np.zeros((SIDE, SIDE, 4), np.uint8)] * len(cameras)
    pictures = {"snowman": [draw(SNOWMAN, camera, SIDE) for camera in cameras], "nothing": empty}
    seal_view_set(
        folder / "test_views",
        {uid: (cameras, images) for uid, images in pictures.items()},
        render,
        {"snowman": "train", "nothing": "held_out"},
    )
    (folder / "test_views" / "meshes").mkdir()
    SNOWMAN.export(folder / "test_views" / "meshes" / "snowman.ply")
    return folder / "test_views"


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seal_truth(tmp_path_factory.mktemp("baselines"))


@pytest.fixture(scope="module")
def made(truth: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pycolmap", None)  # as where it is not installed
        tools = make_tools(truth.parent)
        make_baselines(truth, CONFIG, RECONSTRUCT, 0, truth.parent / "out", tools)
    assert [note for note in notes_of(tools) if "sfm is left out, because pycolmap is not installed" in note]
    return truth.parent / "out"


def mesh_of(made: Path, case: Case) -> trimesh.Trimesh:
    mesh = trimesh.load_mesh(made / "meshes" / case.name / "snowman.ply", process=True)
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def test_baselines_have_a_case_for_each_method_and_number_of_views(made: Path) -> None:
    cases = sampled_cases(made / "views")
    assert [case.name for case in cases] == [
        "hull-gt-pose-sparse-1",
        "hull-gt-pose-sparse-4",
        "neus-gt-pose-sparse-1",
        "neus-gt-pose-sparse-4",
        "upper-bound-sparse-8",
    ]
    for case in cases:
        assert ViewSet.open(made / "views" / case.name).uids == ["snowman"]
        assert list((made / "meshes" / case.name).iterdir()) == [made / "meshes" / case.name / "snowman.ply"]
    counts = {"done": 5, "rejected": 5, "failed": 0}
    assert open_manifest(made, Kind.BASELINES).counts == open_manifest(made / "meshes", Kind.MESHES).counts == counts


def test_baseline_of_views_that_show_nothing_is_rejected_with_the_reason(made: Path) -> None:
    rows = read_ledger(made / "views" / "hull-gt-pose-sparse-4")
    assert [(row.uid, type(row)) for row in rows] == [("nothing", Rejected), ("snowman", Done)]
    assert rows[0] == Rejected("nothing", "the 4 views enclose nothing", {"group": "held_out"})


def test_more_true_views_bring_the_mesh_nearer_to_the_true_volume(made: Path) -> None:
    cone, hull, bound = (
        mesh_of(made, Case(method, "sparse", count)).volume
        for method, count in (("hull-gt-pose", 1), ("hull-gt-pose", 4), ("upper-bound", 8))
    )
    true = SNOWMAN.volume
    assert cone > 1.5 * hull > 1.5 * true
    assert abs(bound - true) < abs(hull - true)


def test_cone_of_a_single_view_ends_at_the_cube_that_holds_every_object(made: Path) -> None:
    reach = np.abs(mesh_of(made, Case("hull-gt-pose", "sparse", 1)).bounds).max()
    voxel = 2 * BOUND / RECONSTRUCT.quality.resolution
    assert reach + voxel / 2 >= BOUND
    assert reach <= BOUND + voxel


def test_views_of_a_baseline_are_those_of_the_scored_cameras(made: Path, truth: Path) -> None:
    drawn, true = ViewSet.open(made / "views" / "upper-bound-sparse-8"), ViewSet.open(truth)
    assert drawn.cameras("snowman") == true.cameras("snowman", ViewKind.TARGET)
    names = drawn.names("snowman")
    one, other = drawn.images("snowman", names)[..., 3] > 127, true.images("snowman", names)[..., 3] > 127
    assert (one & other).sum() / (one | other).sum() > 0.85


def test_baselines_continue_where_an_earlier_run_ended(truth: Path, made: Path) -> None:
    hull_only = CONFIG.model_copy(update={"methods": ("hull-gt-pose",)})
    first, out = make_tools(truth.parent / "again"), truth.parent / "again" / "out"
    make_baselines(truth, hull_only, RECONSTRUCT, 0, out, first)
    mesh = Path("meshes", "hull-gt-pose-sparse-4", "snowman.ply")
    assert (out / mesh).read_bytes() == (made / mesh).read_bytes()
    assert notes_of(first) == []
    again = make_tools(truth.parent / "again")
    make_baselines(truth, hull_only, RECONSTRUCT, 0, out, again)
    assert notes_of(again) == ["baselines: 4 of 4 were finished before, 0 to go"]
    other_seed = make_tools(truth.parent / "again")
    make_baselines(truth, hull_only, RECONSTRUCT, 1, out, other_seed)
    assert notes_of(other_seed) == []


@pytest.mark.slow(seconds=1)
def test_scores_of_baselines_say_also_of_unregistered_objects_how_many_views_sfm_places(
    truth: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pycolmap")
    tools, out = make_tools(tmp_path), tmp_path / "out"
    two = BaselinesConfig(recipe=1, methods=("hull-gt-pose", "sfm"), conditions=(2,))
    make_baselines(truth, two, RECONSTRUCT, 0, out, tools)
    none = read_ledger(out / "views" / "sfm-sparse-2")
    assert [type(row) for row in none] == [Rejected] * 2, "no feature is found in 24 pixels"
    update = {"points": 500, "iou_resolution": 16, "consistency_resolution": None}
    scoring = Scoring({"test_views": truth}, PARAMETERS.evaluate.model_copy(update=update), 0)
    summary = summarize(score_predictions([Predictions.below(out)], scoring, tools.pool, tools.progress))
    hull, unregistered = summary["hull-gt-pose-sparse-2"]["train"], summary["sfm-sparse-2"]["train"]
    assert hull.keys() >= {"psnr", "ssim", "chamfer", "volume_iou"}
    assert 0 < hull["volume_iou"] <= 1
    assert {name: unregistered.get(name) for name in MEASURED} == dict.fromkeys(MEASURED, 0.0)
    assert (unregistered["objects"], unregistered["meshes"]) == (1, 0)
