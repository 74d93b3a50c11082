"""Views as images to train the mask-aware VAE on."""

from pathlib import Path

import numpy as np

from render.passes import View
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.resume import ItemStore
from tasks.artifacts.shards import lay_out
from tasks.artifacts.views import ViewSet, seal_views, write_views
from tasks.outcome import Done
from tasks.training.images import list_images
from tests.tasks.small_views import LOOP, SIDE, cameras_of, picture


def test_list_images_of_views_with_depth_and_normals_lists_the_views_alone(tmp_path: Path) -> None:
    store, cameras = ItemStore(tmp_path / "items"), cameras_of(0)
    depth, normal = np.ones((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE, 3), np.float32)
    write_views(store.path("o0"), cameras, [View(picture(0, camera), depth, normal) for camera in cameras], {})
    seal_views(store.readers({"o0": "o0"}), lay_out(["o0"], 1), tmp_path / "views")
    seal(tmp_path / "views", Kind.VIEWS, config=LOOP, inputs={}, outcomes=[Done("o0", {"split": "train"})])
    views = ViewSet.open(tmp_path / "views")
    assert "t00.depth.png" in views.reader.names("o0")
    assert "t00.normal.png" in views.reader.names("o0")
    images = list_images(views, "train")
    names = [images.name(index) for index in range(len(images))]
    assert names == [f"o0/c{index:02d}" for index in range(3)] + [f"o0/t{index:02d}" for index in range(8)]
    for index, camera in enumerate([*cameras[8:], *cameras[:8]]):
        assert np.array_equal(images[index], picture(0, camera))
