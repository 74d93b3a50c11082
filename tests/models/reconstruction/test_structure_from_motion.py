"""Structure from motion places views of a textured solid, leaves a plain one alone, and repeats itself."""

import numpy as np
import pytest
import trimesh

from models.reconstruction.mesh import Mesh
from models.reconstruction.mesh_views import render_mesh_views
from models.reconstruction.pose_alignment import align_poses
from models.reconstruction.structure_from_motion import register_views
from models.reconstruction.views import Views
from render.cameras import Camera
from tasks.artifacts.views import as_cameras

pytest.importorskip("pycolmap")
SIDE, SEED = 256, 2654360426819010464
CAMERAS = as_cameras([Camera(f"c{k:02d}", 20.0 * k, 5.0 * k, 1.6, 60.0) for k in range(4)], SIDE)


def views_of(colours: np.ndarray | None) -> Views:
    solid = trimesh.creation.icosphere(4, 0.45)
    vertices = np.asarray(solid.vertices, dtype=np.float32) * np.array([1.0, 0.7, 0.85], dtype=np.float32)
    painted = np.full((len(vertices), 3), 150) if colours is None else colours[: len(vertices)]
    mesh = Mesh(vertices, np.asarray(solid.faces, dtype=np.int32), painted.astype(np.uint8))
    images = render_mesh_views(mesh, CAMERAS).astype(np.float32) / 255
    return Views(images, CAMERAS.world_from_camera, CAMERAS.fov_deg)


@pytest.fixture(scope="module")
def speckled() -> Views:
    return views_of(np.random.default_rng(3).integers(0, 256, (4000, 3)))


def test_register_textured_views_recovers_their_poses_to_the_bit_each_time(speckled: Views) -> None:
    found = register_views(speckled, seed=SEED)
    assert found.views == (0, 1, 2, 3)
    poses = align_poses(found.world_from_camera, CAMERAS.world_from_camera)
    turns = np.einsum("kij,klj->kil", poses[:, :3, :3], CAMERAS.world_from_camera[:, :3, :3])
    degrees = np.degrees(np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert degrees.max() < 1.0
    assert np.linalg.norm(poses[:, :3, 3] - CAMERAS.centres, axis=1).max() < 0.03
    again = register_views(speckled, seed=SEED)
    assert again.views == found.views
    assert np.array_equal(again.world_from_camera, found.world_from_camera)


def test_register_plain_views_or_a_single_one_places_none(speckled: Views) -> None:
    assert register_views(views_of(None), seed=SEED).views == ()
    one = Views(speckled.rgba[:1], speckled.world_from_camera[:1], speckled.fov_deg[:1])
    assert register_views(one, seed=SEED).views == ()
