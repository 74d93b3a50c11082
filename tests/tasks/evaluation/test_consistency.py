"""Self-consistency of views, which knows no truth."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from render.cameras import Camera
from tasks.artifacts.views import Image, ViewSet
from tasks.evaluation.consistency import score_consistency
from tests.tasks.made_run import draw, shapes
from tests.tasks.small_view_sets import seal_images

CAMERAS = [
    Camera(f"t{8 * row + column:02d}", 45.0 * column, elevation, 1.5, 60.0)
    for row, elevation in enumerate((-30.0, 30.0))
    for column in range(8)
]
Change = Callable[[int, Image], Image]


def odd_only(change: Callable[[Image], Image]) -> Change:
    return lambda index, image: change(image) if index % 2 else image


CHANGES: dict[str, Change] = {
    "true": lambda _, image: image,
    "half shifted": odd_only(lambda image: np.roll(image, 3, axis=1)),
    "half recoloured": odd_only(lambda image: image[..., [2, 0, 1, 3]]),
}


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    folder, mesh = tmp_path_factory.mktemp("views"), shapes()["snowman"]
    images = [draw(mesh, camera, 32) for camera in CAMERAS]
    found = {}
    for name, change in CHANGES.items():
        views = [
            (camera, change(index, image)) for index, (camera, image) in enumerate(zip(CAMERAS, images, strict=True))
        ]
        found[name] = score_consistency(ViewSet.open(seal_images(folder / name, {"a": views})), "a", 24, seed=0)
    return found


def test_views_that_agree_score_better_than_ones_that_do_not(scores: dict[str, dict[str, float]]) -> None:
    shift, recoloured = scores["half shifted"], scores["half recoloured"]
    assert scores["true"]["consistency_chamfer"] < 0.02
    assert scores["true"]["consistency_f_score"] > 0.8
    assert shift["consistency_chamfer"] > 2 * scores["true"]["consistency_chamfer"]
    assert recoloured["consistency_psnr"] < scores["true"]["consistency_psnr"] - 2
    assert recoloured["consistency_chamfer"] == pytest.approx(scores["true"]["consistency_chamfer"]), "shapes agree"


def test_too_few_views_or_empty_ones_have_no_consistency(tmp_path: Path) -> None:
    blank = [(camera, np.zeros((16, 16, 4), np.uint8)) for camera in CAMERAS]
    for name, views in (("three", blank[:3]), ("blank", blank)):
        assert score_consistency(ViewSet.open(seal_images(tmp_path / name, {"a": views})), "a", 16, seed=0) == {}
