"""Mesh metrics against closed forms."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from tasks.evaluation.mesh_metrics import read_mesh, solid_voxels, volume_iou
from tests.tasks.evaluation.shapes import as_mesh, ball, box, joined


def solid(shape: trimesh.Trimesh) -> np.ndarray:
    """The grid of 64 points per axis in a shape that is moved by half a step, so that no face holds a point."""
    return solid_voxels(as_mesh(shape.copy().apply_translation([-1 / 64] * 3)), 64)


def volume(shape: trimesh.Trimesh) -> float:
    return float(solid(shape).sum()) / 32**3


def test_solid_points_are_those_of_mesh2sdf() -> None:
    """mesh2sdf 1.1.0 was asked: of this box it calls the points 25 to 40, 24 to 40 and 24 to 40 inside."""
    indices = np.argwhere(solid_voxels(as_mesh(box((0.5, 0.51, 0.51), (0.01, -0.001, -0.001))), 64))
    np.testing.assert_array_equal(indices.min(axis=0), [25, 24, 24])
    np.testing.assert_array_equal(indices.max(axis=0), [40, 40, 40])


def test_shifted_cube_has_the_closed_form_iou() -> None:
    still, moved = box((0.5, 0.5, 0.5)), box((0.5, 0.5, 0.5), (0.25, 0, 0))
    assert volume_iou(solid(still), solid(moved)) == pytest.approx(1 / 3)


def test_voxels_of_a_box_keep_its_axes_apart() -> None:
    inside = solid(box((1.0, 0.5, 0.25), (0, 0.25, -0.5)))
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


def test_read_mesh_without_triangles_names_the_file(tmp_path: Path) -> None:
    trimesh.PointCloud(np.eye(3)).export(tmp_path / "dots.ply")
    with pytest.raises(ValueError, match=r"dots\.ply holds no triangles"):
        read_mesh(tmp_path / "dots.ply")
