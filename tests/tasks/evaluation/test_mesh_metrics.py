"""Mesh metrics against closed forms."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from models.reconstruction.mesh import Mesh
from render.cameras import Camera
from tasks.artifacts.views import as_cameras
from tasks.evaluation.mesh_metrics import (
    chamfer_and_f_score,
    read_mesh,
    solid_voxels,
    surface_points,
    visible_points,
    volume_iou,
)

AROUND = as_cameras([Camera("t", 45.0 * k, row, 1.5, 60.0) for row in (-30.0, 30.0) for k in range(8)], 64)


def as_mesh(shape: trimesh.Trimesh) -> Mesh:
    vertices, faces = np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32)
    return Mesh(vertices, faces, np.zeros((len(vertices), 3), np.uint8))


def ball(radius: float) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=radius)


def box(extents: tuple[float, float, float], shift: tuple[float, float, float] = (0, 0, 0)) -> trimesh.Trimesh:
    made = trimesh.creation.box(extents)
    made.apply_translation(shift)
    return made


def joined(parts: list[trimesh.Trimesh]) -> trimesh.Trimesh:
    whole = trimesh.util.concatenate(parts)
    assert isinstance(whole, trimesh.Trimesh)
    return whole


def volume(shape: trimesh.Trimesh, resolution: int = 64) -> float:
    return float(solid_voxels(as_mesh(shape), resolution).sum()) * (2 / resolution) ** 3


def test_two_concentric_spheres_have_the_chamfer_and_iou_of_their_radii() -> None:
    rng = np.random.default_rng(0)
    small, large = as_mesh(ball(0.4)), as_mesh(ball(0.45))
    chamfer, f_score = chamfer_and_f_score(surface_points(small, 20000, rng), surface_points(large, 20000, rng))
    assert chamfer == pytest.approx(0.05, abs=0.003)
    assert f_score == 0
    overlap = volume_iou(solid_voxels(small, 96), solid_voxels(large, 96))
    assert overlap == pytest.approx((0.4 / 0.45) ** 3, abs=0.01)


def test_equal_points_have_no_distance_and_full_score() -> None:
    points = np.random.default_rng(0).random((100, 3))
    assert chamfer_and_f_score(points, points) == (0, 1)


def test_chamfer_is_half_the_sum_of_both_unsquared_means() -> None:
    one, other = np.array([[0.0, 0, 0]]), np.array([[0.0, 0, 0.3], [0, 0, 0.5]])
    assert chamfer_and_f_score(one, other)[0] == pytest.approx((0.3 + 0.4) / 2)


def test_shifted_cube_has_the_closed_form_iou() -> None:
    still, moved = box((0.5, 0.5, 0.5)), box((0.5, 0.5, 0.5), (0.25, 0, 0))
    assert volume_iou(solid_voxels(as_mesh(still), 64), solid_voxels(as_mesh(moved), 64)) == pytest.approx(1 / 3)


def test_voxels_of_a_box_keep_its_axes_apart() -> None:
    inside = solid_voxels(as_mesh(box((1.0, 0.5, 0.25), (0, 0.25, -0.5))), 64)
    indices = np.argwhere(inside)
    np.testing.assert_array_equal(indices.min(axis=0), [16, 32, 12])
    np.testing.assert_array_equal(indices.max(axis=0), [47, 47, 19])
    assert len(indices) == 32 * 16 * 8


def test_overlapping_parts_unite_and_cavities_stay_empty() -> None:
    union = joined([box((0.5, 0.5, 0.5)), box((0.5, 0.5, 0.5), (0.25, 0, 0))])
    assert volume(union) == pytest.approx(0.75 * 0.25, rel=1e-6)
    inner = box((0.25, 0.25, 0.25))
    inner.invert()
    assert volume(joined([box((0.5, 0.5, 0.5)), inner])) == pytest.approx(0.125 - 0.25**3)


def test_inside_out_mesh_and_mesh_with_a_hole_keep_their_volume() -> None:
    whole = volume(ball(0.4))
    inverted, holed = ball(0.4), ball(0.4)
    inverted.invert()
    holed.update_faces(np.asarray(holed.triangles_center)[:, 2] < 0.36)  # an open top
    assert whole == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.02)
    assert volume(inverted) == whole
    assert volume(holed) == pytest.approx(whole, rel=0.02)


def test_flat_truth_has_no_volume_iou() -> None:
    flat = as_mesh(
        trimesh.Trimesh(np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0]]), np.array([[0, 1, 2]]), process=False)
    )
    assert volume_iou(solid_voxels(as_mesh(ball(0.2)), 16), solid_voxels(flat, 16)) is None


def test_visible_points_inner_walls_do_not_count() -> None:
    nested = as_mesh(joined([ball(0.4), ball(0.25)]))
    points = visible_points(nested, AROUND, 2000, np.random.default_rng(0))
    assert len(points) == 2000
    assert np.linalg.norm(points, axis=1).min() > 0.39


def test_visible_points_from_above_leave_out_the_bottom() -> None:
    above = as_cameras([Camera("r", 90.0 * k, 30.0, 1.5, 49.0) for k in range(4)], 64)
    points = visible_points(as_mesh(box((0.5, 0.5, 0.5))), above, 4000, np.random.default_rng(0))
    assert (points[:, 2] > 0.24).mean() > 0.15
    assert (points[:, 2] < -0.2499).mean() < 0.05  # one sixth of the surface; its rim is within the tolerance


def test_read_mesh_without_triangles_names_the_file(tmp_path: Path) -> None:
    trimesh.PointCloud(np.eye(3)).export(tmp_path / "dots.ply")
    with pytest.raises(ValueError, match=r"dots\.ply holds no triangles"):
        read_mesh(tmp_path / "dots.ply")
