"""Read back as InstantMesh's and NovelGS's loaders do (sources: tasks/commands/export/instantmesh.py)."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from render.cameras import Camera
from render.views import ViewKind
from tasks.artifacts.views import ViewSet
from tasks.commands.export.source import Source
from tests.tasks.commands.export.sets import POINT, RADIUS, SIDE, export, our_pixel, seal_objects
from tests.tasks.small_views import write_small_views

CAMERAS = [Camera("t00", 0, 0, 1.5, 50), Camera("t01", 130, 40, 1.5, 50), Camera("c00", 250, -10, 2.2, 50)]


@dataclass
class Loaded:
    """One view as the loader hands it on: everything in the cube from -1 to 1."""

    rgb_on_white: np.ndarray
    alpha: np.ndarray
    world_from_camera: np.ndarray
    """OpenGL axes."""
    depth: np.ndarray
    normal: np.ndarray


def load(folder: Path, index: int, *, passes: bool = True) -> Loaded:
    image = np.asarray(Image.open(folder / f"{index:03d}.png"), dtype=np.float32) / 255
    alpha = image[:, :, 3:]
    camera_from_world = np.concatenate([np.load(folder / "cameras.npz")["cam_poses"][index], [[0, 0, 0, 1]]])
    depth, normal = np.zeros(0), np.zeros(0)
    if passes:
        grey = cv2.imread(str(folder / f"{index:03d}_depth.png"), cv2.IMREAD_UNCHANGED)
        assert grey.ndim == 2
        depth = grey / 255.0 * 4.0
        colours = np.asarray(Image.open(folder / f"{index:03d}_normal.png"), dtype=np.float32) / 255
        vectors = colours[:, :, :3] * colours[:, :, 3:] * 2 - 1
        normal = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    rgb = image[:, :, :3] * alpha + (1 - alpha)
    return Loaded(rgb, alpha[..., 0], np.linalg.inv(camera_from_world), depth, normal)


def test_instantmesh_pixels_and_cameras_are_ours_at_twice_the_size(tmp_path: Path) -> None:
    views = seal_objects(tmp_path, {"a": CAMERAS, "b": CAMERAS}, val=["b"])
    settings = export(Source.open(views), "instantmesh", tmp_path / "out")
    assert settings.startswith("fov: 50, total_view_n: 3; InstantMesh also reads depth and normal maps")
    listed = json.loads((tmp_path / "out/valid_paths.json").read_text())
    assert listed["good_objs"] == ["a"], "a held-out object is not trained on"
    assert listed["val_objs"] == ["b"]
    focal = 0.5 / np.tan(np.radians(50) / 2) * SIDE
    for index, camera in enumerate(CAMERAS):
        view = load(tmp_path / "out/rendering_random_32views/a", index, passes=False)
        x, y, z = (np.linalg.inv(view.world_from_camera) @ [*(2 * POINT), 1])[:3]
        assert [SIDE / 2 + focal * x / -z, SIDE / 2 - focal * y / -z] == pytest.approx(our_pixel(camera, SIDE))
        ours = ViewSet.open(views).image("a", camera.name) / 255
        np.testing.assert_allclose(view.alpha, ours[..., 3], atol=1e-6)
        np.testing.assert_allclose(view.rgb_on_white, ours[..., :3] * ours[..., 3:] + 1 - ours[..., 3:], atol=1e-6)


def test_instantmesh_depth_and_normals_lie_on_the_sphere_that_was_rendered(tmp_path: Path) -> None:
    views = seal_objects(tmp_path, {"a": CAMERAS}, passes=True)
    assert export(Source.open(views), "instantmesh", tmp_path / "out") == "fov: 50, total_view_n: 3"
    focal = 0.5 / np.tan(np.radians(50) / 2) * SIDE
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    for index in range(len(CAMERAS)):
        view = load(tmp_path / "out/rendering_random_32views/a", index)
        seen = view.alpha > 0
        rays = np.stack([(columns - SIDE / 2) / focal, -(rows - SIDE / 2) / focal, -np.ones_like(rows)], axis=-1)
        points = (rays * view.depth[..., None]) @ view.world_from_camera[:3, :3].T + view.world_from_camera[:3, 3]
        np.testing.assert_allclose(np.linalg.norm(points[seen], axis=-1), 2 * RADIUS, atol=0.01)
        np.testing.assert_allclose(view.normal[seen], points[seen] / (2 * RADIUS), atol=0.02)
        assert (view.depth[~seen] == 0).all()


def test_instantmesh_objects_of_other_cameras_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    views = seal_objects(tmp_path, {"a": CAMERAS, "b": CAMERAS[:2]})
    with pytest.raises(ValueError, match="b has 2 views of 50 deg and a 3 of 50, and the layout holds one number"):
        export(Source.open(views), "instantmesh", tmp_path / "out")
    wide = seal_objects(tmp_path / "wide", {"a": [CAMERAS[0], Camera("c00", 9, 9, 1.5, 60)]})
    with pytest.raises(ValueError, match="a has views of 50 and of 60 deg, and the layout holds one field of view"):
        export(Source.open(wide), "instantmesh", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_instantmesh_targets_alone_are_the_first_views(tmp_path: Path) -> None:
    views = write_small_views(tmp_path)
    assert "total_view_n: 8" in export(Source.open(views, kind=ViewKind.TARGET), "instantmesh", tmp_path / "out")
    folder = tmp_path / "out/rendering_random_32views/o1"
    assert max(path.name for path in folder.glob("*.png")) == "007.png"
    assert np.load(folder / "cameras.npz")["cam_poses"].shape == (8, 3, 4)
