"""What `write_glb` writes looks in Blender like the views that its texture was baked from, and stands upright."""

from pathlib import Path

import numpy as np
import pytest

from models.config import Effort, ReconstructConfig
from models.reconstruction.surface import reconstruct_views
from models.reconstruction.texture import textured, write_glb
from models.reconstruction.views import Views
from render.device import Machine
from render.placement import Placement
from tests.models.balls import balls, targets
from tests.render.toys import toy_config

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")
SIDE = 48


def test_textured_mesh_rendered_by_blender_looks_like_its_views(tmp_path: Path) -> None:
    cameras = targets()
    rgba = np.stack([balls(camera, SIDE, 2) for camera in cameras])
    poses = np.stack([camera.world_from_camera for camera in cameras])
    views = Views(rgba.astype(np.float32) / 255, poses, np.array([camera.fov_deg for camera in cameras]))
    config = ReconstructConfig(recipe=1, method="hull", quality=Effort(resolution=32, iterations=0, batch=1), vote=0.9)
    mesh = reconstruct_views(views, config, 0, "cpu")
    assert mesh is not None
    write_glb(textured(mesh, views), tmp_path / "mesh.glb")
    report = objects.inspect(tmp_path / "mesh.glb")
    np.testing.assert_allclose(report.minimum, mesh.vertices.min(axis=0), atol=1e-5)
    np.testing.assert_allclose(report.maximum, mesh.vertices.max(axis=0), atol=1e-5)
    chosen = [0, 11, 21, 30]
    shown = shots.render_views(
        tmp_path / "mesh.glb",
        Placement((0.0, 0.0, 0.0), 1.0),
        [cameras[index] for index in chosen],
        toy_config(resolution=SIDE, samples=16),
        uid="mesh",
        seed=0,
        machine=Machine(1),
    )
    for index, view in zip(chosen, shown, strict=True):
        inside = (view.rgba[..., 3] > 250) & (rgba[index, ..., 3] > 250)
        assert inside.mean() > 0.1
        difference = np.abs(view.rgba[..., :3].astype(int) - rgba[index, ..., :3])[inside]
        assert np.median(difference) < 20  # under the sky alone, which parts of the object hide from others
        assert (view.rgba[..., 3] > 127).mean() == pytest.approx((rgba[index, ..., 3] > 127).mean(), rel=0.2)
