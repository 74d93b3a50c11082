"""Views of shapes with a known volume and surface, back into meshes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy import ndimage
from scipy.spatial import cKDTree
from trimesh.visual import ColorVisuals

from models.config import Effort, ReconstructConfig
from models.reconstruction.hull import Field, enclosing_extent, visual_hull
from models.reconstruction.mesh import Mesh, extract_mesh, write_ply
from models.reconstruction.raster import rasterise
from models.reconstruction.rays import near_surface, rays_of
from models.reconstruction.rendering import neus_weights
from models.reconstruction.sdf_grid import Schedule, fit_sdf, settled
from models.reconstruction.silhouettes import Silhouettes, silhouette_distance
from models.reconstruction.surface import reconstruct_views
from models.reconstruction.views import Cameras, Views
from models.reconstruction.votes import measured_vote
from render.cameras import Camera, project

RADIUS = 0.4
TARGETS = [Camera("t", 45.0 * column, row, 1.5, 60.0) for row in (-30.0, 0.0, 30.0, 60.0) for column in range(8)]


def cameras_of(side: int) -> Cameras:
    poses = np.stack([camera.world_from_camera for camera in TARGETS])
    return Cameras(poses, np.array([camera.fov_deg for camera in TARGETS]), side)


def sphere_views(side: int, radius: float = RADIUS) -> Views:
    """Red above, blue below; nine samples per pixel, each from the closed form of a ray and a sphere."""
    cameras, images = cameras_of(3 * side), []
    for view, origin in enumerate(cameras.centres):
        directions = cameras.directions(view)
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        along = -(directions @ origin)
        inside = radius**2 - (origin @ origin - along**2)
        height = origin[2] + (along - np.sqrt(np.maximum(inside, 0))) * directions[..., 2]
        seen = inside > 0
        samples = np.stack([seen * (height > 0), 0 * seen, seen * (height <= 0), seen], axis=-1)
        images.append(samples.reshape(side, 3, side, 3, 4).mean(axis=(1, 3)))
    rgba = np.stack(images).astype(np.float32)
    rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-6)
    return Views(rgba, cameras.world_from_camera, cameras.fov_deg)


def mesh_views(shape: trimesh.Trimesh, side: int) -> Views:
    """Coloured by position."""
    cameras, images = cameras_of(4 * side), []
    for view in range(len(cameras)):
        raster = rasterise(shape.vertices, shape.faces, cameras, view)
        colours = 0.5 + 0.5 * np.sin(raster.interpolate(shape.vertices, shape.faces) * [14, 18, 16])
        rgba = np.concatenate([colours, np.ones_like(colours[..., :1])], axis=-1) * (raster.face >= 0)[..., None]
        images.append(rgba.reshape(side, 4, side, 4, 4).mean(axis=(1, 3)))
    rgba = np.stack(images).astype(np.float32)
    rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-6)
    return Views(rgba, cameras.world_from_camera, cameras.fov_deg)


def volume(mesh: Mesh) -> float:
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    return float(np.einsum("fk,fk->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)


def test_cameras_project_like_the_renderer() -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3))
    for view, camera in enumerate(TARGETS[:5]):
        pixels, depth = cameras_of(64).project(view, points)
        expected_pixels, expected_depth = project(camera, points, 64)
        np.testing.assert_allclose(pixels, expected_pixels)
        np.testing.assert_allclose(depth, expected_depth)


def test_camera_directions_pass_through_their_pixels() -> None:
    cameras = cameras_of(8)
    points = (cameras.centres[3] + 0.7 * cameras.directions(3)).reshape(-1, 3)
    row, column = np.mgrid[:8, :8]
    expected = np.stack([column, row], axis=-1).reshape(-1, 2) + 0.5
    np.testing.assert_allclose(cameras.project(3, points)[0], expected, atol=1e-9)


def test_rasterised_depth_of_a_plane_is_exact() -> None:
    camera = Camera("t", 0.0, 0.0, 1.5, 60.0)
    cameras = Cameras(camera.world_from_camera[None], np.array([60.0]), 32)
    corners = np.array([[0.2, -1, -1], [0.2, 1, -1], [-0.3, 1, 1], [-0.3, -1, 1]])  # x falls from 0.2 to -0.3 over z
    raster = rasterise(corners, np.array([[0, 1, 2], [0, 2, 3]]), cameras, 0)
    point = raster.interpolate(corners, np.array([[0, 1, 2], [0, 2, 3]]))
    seen = raster.face >= 0
    assert seen.sum() > 500
    np.testing.assert_allclose(point[seen][:, 0], -0.05 - 0.25 * point[seen][:, 2], atol=1e-9)
    np.testing.assert_allclose(raster.depth[seen], 1.5 - point[seen][:, 0], atol=1e-9)
    assert np.isinf(raster.depth[~seen]).all()


def test_raster_two_faces_on_one_ray_shows_the_nearer() -> None:
    cameras = Cameras(TARGETS[8].world_from_camera[None], np.array([60.0]), 16)
    near, far = ([[x, -1, -1], [x, 1, -1], [x, 0, 1]] for x in (0.4, -0.4))
    raster = rasterise(np.array([*far, *near], dtype=float), np.array([[0, 1, 2], [3, 4, 5]]), cameras, 0)
    assert raster.face[8, 8] == 1
    assert raster.depth[8, 8] == pytest.approx(1.1)


def test_silhouette_distance_half_covered_pixel_lies_on_the_edge() -> None:
    alpha = np.tile(np.array([0, 0, 0.5, 1, 1, 1], dtype=np.float32), (4, 1))
    np.testing.assert_allclose(silhouette_distance(alpha)[0], [-2, -1, 0, 1, 2, 3], atol=0.51)
    assert silhouette_distance(alpha)[0, 2] == 0


@pytest.mark.slow(seconds=2)
def test_hull_of_a_sphere_has_its_volume_and_colours() -> None:
    views = sphere_views(64)
    silhouettes = Silhouettes.of(views)
    extent = enclosing_extent(silhouettes, 1.0)
    mesh = extract_mesh(visual_hull(silhouettes, resolution=48, vote=1.0, extent=extent), views)
    assert RADIUS < extent < RADIUS + 0.2
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.05)  # from outside, so positive
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(RADIUS, abs=0.06)
    top, bottom = mesh.vertices[:, 2] > 0.05, mesh.vertices[:, 2] < -0.05
    assert mesh.colours[top, 0].mean() > 240
    assert mesh.colours[bottom, 2].mean() > 240
    assert mesh.colours[top, 2].max() < 60


def test_hull_one_view_of_many_is_wrong_only_the_vote_forgives() -> None:
    views = sphere_views(32)
    views.rgba[5] = 0
    silhouettes = Silhouettes.of(views)
    strict = visual_hull(silhouettes, resolution=24, vote=1.0, extent=0.6)
    forgiving = visual_hull(silhouettes, resolution=24, vote=0.9, extent=0.6)
    assert strict.is_empty
    assert volume(extract_mesh(forgiving, views)) == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.25)


def test_hull_of_empty_views_is_empty_and_has_no_mesh() -> None:
    views = sphere_views(16)
    views.rgba[:] = 0
    silhouettes = Silhouettes.of(views)
    field = visual_hull(silhouettes, resolution=16, vote=0.9, extent=enclosing_extent(silhouettes, 0.9))
    assert field.is_empty
    with pytest.raises(ValueError, match="no voxel inside"):
        extract_mesh(field, views)


def test_extent_thin_plate_is_not_missed() -> None:
    plate = trimesh.creation.box((0.9, 0.6, 0.04))  # thinner than a coarse voxel
    assert 0.45 < enclosing_extent(Silhouettes.of(mesh_views(plate, 64)), 1.0) < 0.6


def test_mesh_floater_is_dropped_cavity_filled_and_border_closed() -> None:
    centres = (np.arange(24) + 0.5) / 24 - 0.5
    x, y, z = np.meshgrid(centres, centres, centres, indexing="ij")
    ball = np.sqrt(x**2 + y**2 + (z + 0.5) ** 2) - 0.4  # half of it leaves the cube
    hollow = np.maximum(ball, 0.1 - np.sqrt(x**2 + y**2 + (z + 0.25) ** 2))
    floater = np.sqrt(x**2 + y**2 + (z - 0.4) ** 2) - 0.08
    field = Field(np.minimum(hollow, floater).astype(np.float32), 0.5)
    views = sphere_views(16)
    views.rgba[..., :3] = 0.25
    mesh = extract_mesh(field, views)
    assert mesh.vertices[:, 2].max() < 0
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).is_watertight
    assert volume(mesh) == pytest.approx(2 / 3 * np.pi * 0.4**3, rel=0.1)
    assert (mesh.colours == 64).all()


def test_silhouettes_are_sampled_where_the_cameras_project_points() -> None:
    cameras, side = cameras_of(24), 24
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 3)).astype(np.float32)
    ramp = torch.arange(side, dtype=torch.float32) + 0.5  # a pixel's value is its own coordinate
    for axis, image in enumerate((ramp[None].expand(side, side), ramp[:, None].expand(side, side))):
        silhouettes = Silhouettes(image.expand(len(cameras), side, side), cameras)
        sampled = torch.cat(list(silhouettes.sample(torch.from_numpy(points))), dim=1).numpy()
        for view in range(len(cameras)):
            pixels, depth = cameras.project(view, points)
            np.testing.assert_allclose(sampled[view] * cameras.focal_px[view] / depth, pixels[:, axis], atol=1e-3)


def test_ply_is_read_back_by_others_and_repeats_bytes(tmp_path: Path) -> None:
    mesh = Mesh(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32),
        np.array([[0, 2, 1], [0, 1, 3]], dtype=np.int32),
        np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [255, 0, 128]], dtype=np.uint8),
    )
    for name in ("one.ply", "two.ply"):
        write_ply(mesh, tmp_path / name)
    read = trimesh.load_mesh(tmp_path / "one.ply", process=False)
    np.testing.assert_array_equal(read.vertices, mesh.vertices)
    np.testing.assert_array_equal(read.faces, mesh.faces)
    assert isinstance(read.visual, ColorVisuals)
    np.testing.assert_array_equal(read.visual.vertex_colors[:, :3], mesh.colours)
    assert (tmp_path / "one.ply").read_bytes() == (tmp_path / "two.ply").read_bytes()


def test_neus_weights_peak_at_the_first_surface_and_sum_to_one() -> None:
    distances = torch.linspace(0, 2, 201)
    sdf = torch.minimum((distances - 0.6).abs(), (distances - 1.4).abs()) - 0.1  # two slabs, entered at 0.5 and 1.3
    weights = neus_weights(sdf[None], 100.0)[0]
    assert distances[weights.argmax()] == pytest.approx(0.5, abs=0.02)
    assert weights.sum() == pytest.approx(1, abs=1e-2)
    assert weights[distances[:-1] > 1].sum() < 1e-2


def test_hull_refined_in_blocks_equals_the_hull_computed_everywhere() -> None:
    silhouettes = Silhouettes.of(mesh_views(trimesh.creation.torus(0.36, 0.05), 32))
    settings = {"vote": 1.0, "extent": 0.55}
    everywhere, refined = (visual_hull(silhouettes, resolution=side, **settings) for side in (49, 48))  # 49: no blocks
    position = (np.arange(48) + 0.5) / 48 * 49 - 0.5
    grid = np.stack(np.meshgrid(position, position, position, indexing="ij"))
    expected = ndimage.map_coordinates(everywhere.sdf, grid, order=1)
    assert ((refined.sdf < 0) == (expected < 0)).mean() > 0.999
    near = np.abs(expected) < 0.02
    np.testing.assert_allclose(refined.sdf[near], expected[near], atol=0.25 * refined.voxel)


@pytest.mark.slow(seconds=1)
def test_vote_is_strict_for_consistent_views_and_forgives_a_wrong_one() -> None:
    views = sphere_views(32)
    assert measured_vote(views, Silhouettes.of(views), 0.55) == 1.0
    views.rgba[5] = 0
    views.rgba[17, :, :16] = 0  # half an object
    silhouettes = Silhouettes.of(views)
    vote = measured_vote(views, silhouettes, 0.55)
    assert vote == 30 / 32
    assert not visual_hull(silhouettes, resolution=24, vote=vote, extent=0.55).is_empty


def test_rays_near_the_hull_keep_its_surface_between_near_and_far() -> None:
    views = sphere_views(16)
    hull = visual_hull(Silhouettes.of(views), resolution=32, vote=1.0, extent=0.55)
    rays = near_surface(rays_of(views, hull), hull)
    assert len(rays) < 0.7 * views.rgba[..., 0].size
    along = -(rays.directions * rays.origins).sum(dim=1)
    depth = RADIUS**2 - (rays.origins.square().sum(dim=1) - along**2)
    hits = depth > 0.01
    assert hits.sum() == pytest.approx(views.rgba[..., 3].sum(), rel=0.1)
    entry = (along - depth.clamp(min=0).sqrt())[hits]
    assert (rays.near[hits] < entry).all()
    assert (rays.far[hits] > entry).all()


def test_small_offsets_settle_on_the_hull_and_large_ones_stay() -> None:
    offset = np.linspace(-3, 3, 601, dtype=np.float32)[:, None, None] * np.ones((1, 8, 8), np.float32)
    settled_offset = settled(0.1 * offset, voxel=0.1) / 0.1
    assert not settled_offset[np.abs(offset) < 0.29].any()
    large = (np.abs(offset) > 1.05) & (np.abs(offset) < 2.9)
    np.testing.assert_allclose(settled_offset[large], offset[large], atol=1e-2)
    assert (np.diff(settled_offset, axis=0) >= 0).all()


def test_sdf_fit_repeats_with_its_seed() -> None:
    views = sphere_views(16)
    hull = visual_hull(Silhouettes.of(views), resolution=16, vote=1.0, extent=0.55)
    once, again, other = (fit_sdf(views, hull, Schedule(6, 64, 0.0), seed=seed, device="cpu").sdf for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


@pytest.fixture(scope="module")
def ball_in_a_ring() -> tuple[trimesh.Trimesh, Views, Field]:
    """A shape whose hull is wrong between ball and ring, its views, and the hull."""
    shape = trimesh.util.concatenate([trimesh.creation.torus(0.36, 0.13), trimesh.creation.icosphere(4, 0.2)])
    assert isinstance(shape, trimesh.Trimesh)
    views = mesh_views(shape, 48)
    silhouettes = Silhouettes.of(views)
    hull = visual_hull(silhouettes, resolution=40, vote=1.0, extent=enclosing_extent(silhouettes, 1.0))
    return shape, views, hull


@pytest.mark.slow
def test_sdf_fit_of_a_ball_in_a_ring_is_closer_than_its_hull(
    ball_in_a_ring: tuple[trimesh.Trimesh, Views, Field],
) -> None:
    shape, views, hull = ball_in_a_ring
    field = fit_sdf(views, hull, Schedule(150, 1024, 0.0), seed=0, device="cpu")
    truth = cKDTree(trimesh.sample.sample_surface(shape, 20000, seed=0)[0])
    hull_error, fitted_error = (np.mean(truth.query(extract_mesh(one, views).vertices)[0]) for one in (hull, field))
    assert fitted_error < 0.8 * hull_error


@pytest.mark.slow
def test_sdf_fit_with_normals_has_better_normals(ball_in_a_ring: tuple[trimesh.Trimesh, Views, Field]) -> None:
    shape, views, hull = ball_in_a_ring
    cameras, images = views.cameras, []
    for view in range(len(cameras)):
        raster = rasterise(shape.vertices, shape.faces, cameras, view)
        images.append(shape.face_normals[raster.face] * (raster.face >= 0)[..., None])
    seen = replace(views, normals=np.stack(images).astype(np.float32))
    points, faces = trimesh.sample.sample_surface(shape, 20000, seed=0)
    truth, angles = cKDTree(points), []
    for weight in (0.0, 0.5):
        fitted = extract_mesh(fit_sdf(seen, hull, Schedule(80, 512, weight), seed=0, device="cpu"), views)
        expected = shape.face_normals[faces[truth.query(fitted.vertices)[1]]]
        angles.append(np.arccos(np.clip((fitted.normals * expected).sum(axis=1), -1, 1)).mean())
    assert angles[1] < 0.8 * angles[0]


def test_normals_that_views_lack_are_asked_for_by_name() -> None:
    effort = Effort(resolution=16, iterations=1, batch=8)
    config = ReconstructConfig(recipe=1, method="sdf", quality=effort, vote="auto", normal_weight=1.0)
    with pytest.raises(ValueError, match=r"normal_weight is 1\.0 but the views have no normals"):
        reconstruct_views(sphere_views(8), config, 0, "cpu")
