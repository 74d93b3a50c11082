"""Points on surfaces and distances between them, against closed forms and other libraries."""

import numpy as np
import pytest
import trimesh

from models.reconstruction.mesh import Mesh
from tasks.evaluation.registration import align_by_icp
from tasks.evaluation.surface_distance import (
    SurfaceScores,
    chamfer_distance,
    compare_surfaces,
    distance_to_triangles,
)
from tasks.evaluation.surface_points import (
    NUM_RING,
    VOXEL,
    SurfacePoints,
    depth_maps,
    depth_points,
    judges,
    surface_points,
    visible_points,
)
from tests.tasks.evaluation.shapes import as_mesh, ball, box, joined


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def drawn(mesh: Mesh, count: int = 8000) -> SurfacePoints:
    return surface_points(mesh, count, np.random.default_rng(len(mesh.faces)))


def compared(one: Mesh, other: Mesh, count: int = 2000) -> SurfaceScores:
    return compare_surfaces(drawn(one), drawn(other), count)


def test_two_concentric_spheres_have_the_distance_of_their_radii() -> None:
    scores = compared(as_mesh(ball(0.4)), as_mesh(ball(0.45)))
    assert scores.chamfer == pytest.approx(0.05, abs=1e-3)
    assert scores.f_score == 0
    assert scores.normal_consistency == pytest.approx(1, abs=2e-3)


def test_surface_scores_equal_a_recomputation_over_all_faces() -> None:
    """By trimesh's closest points on every face, without a tree or drawn points of the other surface."""
    one, other = as_mesh(trimesh.creation.icosphere(1, 0.4)), as_mesh(box((0.7, 0.66, 0.72)))
    points, count = [drawn(one), drawn(other)], 300
    distances, cosines = [], []
    for mine, target in (points, points[::-1]):
        mesh, queries = trimesh.Trimesh(target.mesh.vertices, target.mesh.faces, process=False), mine.points_N3[:count]
        closest = np.stack(
            [trimesh.triangles.closest_point(np.tile(face, (count, 1, 1)), queries) for face in mesh.triangles], axis=1
        )
        gaps = np.linalg.norm(closest - queries[:, None], axis=2)
        distances.append(gaps.min(axis=1))
        cosines.append(np.abs((mine.normals[:count] * mesh.face_normals[gaps.argmin(axis=1)]).sum(axis=1)))
    precision, recall = ((gaps < 0.02).mean() for gaps in distances)
    scores = compare_surfaces(points[0], points[1], count)
    assert scores.chamfer == pytest.approx(np.mean([gaps.mean() for gaps in distances]), abs=1e-4)
    assert scores.f_score == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-4)
    assert scores.normal_consistency == pytest.approx(np.mean(cosines), abs=5e-3), "ties between faces at an edge"
    gaps = np.linalg.norm(points[0].points_N3[:300, None] - points[1].points_N3[None, :200], axis=2)
    expected = (gaps.min(axis=1).mean() + gaps.min(axis=0).mean()) / 2
    assert chamfer_distance(points[0].points_N3[:300], points[1].points_N3[:200]) == pytest.approx(expected, abs=1e-9)


def test_equal_surfaces_have_no_distance_whichever_points_stand_for_them() -> None:
    """The nearest of so many drawn points is .006 away; the surface is not."""
    mesh = as_mesh(box((0.7, 0.7, 0.7)))
    one, other = (surface_points(mesh, 8000, np.random.default_rng(seed)) for seed in (1, 2))
    scores = compare_surfaces(one, other, 2000)
    assert scores.chamfer < 1e-4
    assert chamfer_distance(one.points_N3, other.points_N3) > 0.005
    assert scores.f_score == 1


def test_surface_scores_ignore_order_of_vertices_and_faces_and_winding() -> None:
    mesh = as_mesh(ball(0.4))
    order = rng().permutation(len(mesh.vertices))
    faces = np.argsort(order)[mesh.faces][rng().permutation(len(mesh.faces))][:, ::-1]
    shuffled = Mesh(mesh.vertices[order], faces.astype(np.int32), mesh.colours)
    truth = as_mesh(box((0.7, 0.7, 0.7)))
    one, other = compared(mesh, truth), compared(shuffled, truth)
    assert vars(other) == pytest.approx(vars(one), rel=0.03)  # other points of the same surface
    cameras = judges()
    points, again = (depth_points(depth_maps(each, cameras)[:4], cameras) for each in (mesh, shuffled))
    np.testing.assert_allclose(again, points, atol=1e-6)


def test_chamfer_is_half_the_sum_of_both_unsquared_means() -> None:
    one, other = np.array([[0.0, 0, 0]]), np.array([[0.0, 0, 0.3], [0, 0, 0.5]])
    assert chamfer_distance(one, other) == pytest.approx((0.3 + 0.4) / 2)


def test_distance_to_triangles_agrees_with_trimesh_and_takes_degenerate_ones_as_edges() -> None:
    corners, points = rng().random((500, 3, 3)), rng().normal(0.5, 1, (500, 3))
    expected = np.linalg.norm(trimesh.triangles.closest_point(corners, points) - points, axis=1)
    np.testing.assert_allclose(distance_to_triangles(points, corners), expected, atol=1e-9)
    flat = np.array([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]])
    np.testing.assert_allclose(distance_to_triangles(np.array([[1.5, 0, 1], [3, 4, 0]]), flat), [1, 5])


def test_depth_points_lie_on_what_the_cameras_see_one_for_each_voxel() -> None:
    cameras = judges()
    nested = as_mesh(joined([box((0.6, 0.6, 0.6)), ball(0.1)]))
    points = depth_points(depth_maps(nested, cameras)[:NUM_RING], cameras)
    np.testing.assert_allclose(np.abs(points).max(axis=1), 0.3, atol=VOXEL)
    assert (points[:, 2] > -0.2999).mean() > 0.99, "elevation 30 sees no underside"
    assert (points[:, 2] > 0.299).sum() == pytest.approx((0.6 / VOXEL) ** 2, rel=0.05)


def test_depth_points_take_the_mean_of_the_cells_that_open3d_would() -> None:
    """Its grid begins half a voxel below the lowest coordinates."""
    cameras = judges()
    depth = np.full((1, cameras.side, cameras.side), np.inf)
    depth[0, 100, 100:104] = [1.0, 1.0, 1.02, 1.05]
    found = depth_points(depth, cameras)
    rays = cameras.directions(0)[100, 100:104]
    points = cameras.centres[0] + rays * depth[0, 100, 100:104, None]
    cells: dict[tuple[int, ...], list[np.ndarray]] = {}
    for point in points:
        cells.setdefault(tuple(np.floor((point - (points.min(axis=0) - VOXEL / 2)) / VOXEL)), []).append(point)
    expected = np.stack([np.mean(members, axis=0) for members in cells.values()])
    assert 1 < len(expected) < 4
    np.testing.assert_allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)], atol=1e-12)


def test_visible_points_leave_out_inner_walls_and_see_the_underside() -> None:
    nested, cameras = as_mesh(joined([ball(0.4), ball(0.25)])), judges()
    points = visible_points(nested, depth_maps(nested, cameras), cameras, 3000, rng()).points_N3
    assert np.linalg.norm(points, axis=1).min() > 0.39
    assert 0.6 * 3000 < len(points) < 0.8 * 3000, "0.4^2 of 0.4^2 + 0.25^2 of the surface is outside"
    assert (points[:, 2] < -0.3).any()


def test_icp_undoes_a_small_turn_and_shift() -> None:
    mesh = as_mesh(joined([box((0.8, 0.5, 0.3)), box((0.2, 0.2, 0.6), (0.3, 0.1, 0.2))]))
    turn = trimesh.transformations.rotation_matrix(np.radians(8), [0.3, 0.2, 1])[:3, :3]
    moved = Mesh((mesh.vertices @ turn.T + [0.03, -0.02, 0.01]).astype(np.float32), mesh.faces, mesh.colours)
    aligned = align_by_icp(moved, mesh, rng())
    assert np.abs(moved.vertices - mesh.vertices).max() > 0.05
    np.testing.assert_allclose(aligned.vertices, mesh.vertices, atol=4e-3)
