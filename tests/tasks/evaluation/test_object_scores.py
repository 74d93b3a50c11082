"""One object whose truth has no mesh."""

from pathlib import Path

import pytest

from flows.params import load_params
from render.views import ring_cameras
from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import Predicted, ScoreJob, score_object
from tasks.outcome import Done
from tests.tasks.made_run import PARAMS, draw, shapes
from tests.tasks.small_view_sets import seal_images


def test_object_without_a_true_mesh_is_scored_by_its_views_alone(tmp_path: Path) -> None:
    cameras = ring_cameras(views=16, elevation_deg=30.0, fov_deg=49.13, distance=1.5)
    truth = seal_images(tmp_path, {"a": [(camera, draw(shapes()["box"], camera, 16)) for camera in cameras]})
    shapes()["box"].export(tmp_path / "a.ply")
    predicted = (
        Predicted(Case("peer", "gso", 1), truth, tmp_path / "a.ply", {"registered_any": 1.0}),
        Predicted(Case("hull", "gso", 1), None, tmp_path / "a.ply"),
    )
    config = load_params(PARAMS).evaluate.model_copy(update={"consistency_resolution": None})
    outcome = score_object(ScoreJob("a", "gso", truth, predicted, config, seed=0, threads=1, device="cpu"))
    assert isinstance(outcome, Done)
    cases = outcome.facts["cases"]
    assert isinstance(cases, dict)
    scores = cases["peer-gso-1"]
    assert isinstance(scores, dict)
    assert scores["ssim"] == pytest.approx(1)
    assert scores["registered_any"] == 1
    assert "chamfer" not in scores
    assert cases["hull-gso-1"] == {}
