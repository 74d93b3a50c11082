"""Meshes with textures: laid out, baked, written as GLB, and read back by others."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy import ndimage
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from models.config import Effort, ReconstructConfig
from models.reconstruction.atlas import PADDING, adjacent_faces, lay_out
from models.reconstruction.mesh import Mesh
from models.reconstruction.raster import covered_pixels, rasterise
from models.reconstruction.surface import reconstruct_views
from models.reconstruction.texture import GLTF_FROM_WORLD, textured, write_glb
from models.reconstruction.views import Views
from tests.models.balls import balls, targets

HULL = ReconstructConfig(recipe=1, method="hull", quality=Effort(resolution=40, iterations=0, batch=1), vote=0.9)


@pytest.fixture(scope="module")
def views() -> Views:
    """Four balls in 32 views."""
    cameras = targets()
    rgba = np.stack([balls(camera, 64, 2) for camera in cameras]).astype(np.float32) / 255
    poses = np.stack([camera.world_from_camera for camera in cameras])
    return Views(rgba, poses, np.array([camera.fov_deg for camera in cameras]))


@pytest.fixture(scope="module")
def mesh(views: Views) -> Mesh:
    found = reconstruct_views(views, HULL, 0, "cpu")
    assert found is not None
    return found


def bare(shape: trimesh.Trimesh) -> Mesh:
    colours = np.zeros((len(shape.vertices), 3), dtype=np.uint8)
    return Mesh(np.asarray(shape.vertices, dtype=np.float32), np.asarray(shape.faces, dtype=np.int32), colours)


def ramp() -> Mesh:
    """A spiral ramp of two turns: seen from above, its turns cover each other."""
    angle = np.linspace(0, 4 * np.pi, 97)
    inner, outer = (
        np.stack([radius * np.cos(angle), radius * np.sin(angle), angle / 30], axis=1) for radius in (0.2, 0.5)
    )
    vertices = np.stack([inner, outer], axis=1).reshape(-1, 3)
    faces = np.concatenate([2 * np.arange(96)[:, None] + np.array(corners) for corners in ((0, 1, 3), (0, 3, 2))])
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), np.zeros((len(vertices), 3), np.uint8))


def covering(mesh: Mesh, side: int) -> np.ndarray:
    """How many faces lie on each texel."""
    atlas = lay_out(mesh.vertices, mesh.faces, side)
    count = np.zeros((side, side), dtype=int)
    for hit in covered_pixels(atlas.texels[atlas.faces], side, side):
        np.add.at(count, (hit.row, hit.column), 1)
    return count


@pytest.mark.parametrize(
    "shape",
    [
        bare(trimesh.creation.icosphere(3)),
        bare(trimesh.creation.torus(0.4, 0.15)),
        bare(trimesh.creation.box()),
        ramp(),
    ],
    ids=["sphere", "torus", "box", "spiral ramp"],
)
def test_atlas_every_face_has_its_own_place_with_a_margin(shape: Mesh) -> None:
    atlas = lay_out(shape.vertices, shape.faces, 256)
    np.testing.assert_array_equal(atlas.vertices[atlas.faces], shape.faces)
    assert atlas.texels.min() >= PADDING - 1e-6
    assert atlas.texels.max() <= 256 - PADDING + 1e-6
    count = covering(shape, 256)
    assert (count > 0).mean() > 0.15
    assert (count > 1).sum() < 0.01 * (count > 0).sum()  # texel centres on a common edge
    corners = atlas.texels[atlas.faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.abs(area).min() > 0
    assert (np.sign(area) == np.sign(area[0])).all()  # none is mirrored, so text stays legible


def test_atlas_cuts_a_ball_into_its_six_sides() -> None:
    ball = bare(trimesh.creation.icosphere(4))
    atlas = lay_out(ball.vertices, ball.faces, 512)
    pairs = adjacent_faces(atlas.faces)
    charts = trimesh.graph.connected_components(pairs, nodes=np.arange(len(atlas.faces)))
    assert len(charts) == 6


def test_atlas_more_charts_than_fit_are_refused_with_the_remedy() -> None:
    islands = trimesh.util.concatenate(
        [trimesh.creation.box((0.01,) * 3, trimesh.transformations.translation_matrix((x, 0, 0))) for x in range(40)]
    )
    assert isinstance(islands, trimesh.Trimesh)
    with pytest.raises(ValueError, match="charts do not fit into a texture of 16 x 16 texels; make it larger"):
        lay_out(np.asarray(islands.vertices), np.asarray(islands.faces, dtype=np.int32), 16)


def test_glb_opened_by_trimesh_looks_like_the_views_from_every_side(views: Views, mesh: Mesh, tmp_path: Path) -> None:
    write_glb(textured(mesh, views), tmp_path / "mesh.glb")
    read = trimesh.load_mesh(tmp_path / "mesh.glb", process=False)
    assert isinstance(read.visual, TextureVisuals)
    assert isinstance(read.visual.material, PBRMaterial)
    texture = read.visual.material.baseColorTexture
    assert isinstance(texture, Image.Image)
    assert texture.size == (256, 256)
    vertices = read.vertices @ GLTF_FROM_WORLD  # back to Z up
    np.testing.assert_allclose(np.sort(vertices, axis=0)[[0, -1]], np.sort(mesh.vertices, axis=0)[[0, -1]], atol=1e-6)
    for view in (0, 5, 11, 18, 26, 31):
        raster = rasterise(vertices, read.faces, views.cameras, view)
        u, v = np.moveaxis(raster.interpolate(np.asarray(read.visual.uv), read.faces), -1, 0)
        place = [(1 - v) * texture.height - 0.5, u * texture.width - 0.5]
        pixels = np.asarray(texture).astype(float)
        shown = np.stack([ndimage.map_coordinates(pixels[..., channel], place, order=1) for channel in range(3)], -1)
        inside = (raster.face >= 0) & (views.rgba[view, ..., 3] > 0.99)
        assert inside.mean() > 0.1
        difference = np.abs(shown - 255 * views.rgba[view, ..., :3])[inside]
        assert np.median(difference) < 6
        assert difference.mean() < 14  # the hull fills the grooves between the balls
    facing = np.einsum("nk,nk->n", read.vertex_normals, read.vertices - read.vertices.mean(axis=0))
    assert (facing > 0).mean() > 0.9


@pytest.mark.slow(seconds=2)
def test_glb_of_equal_meshes_has_equal_bytes(views: Views, mesh: Mesh, tmp_path: Path) -> None:
    for name in ("one.glb", "two.glb"):
        write_glb(textured(mesh, views), tmp_path / name)
    assert (tmp_path / "one.glb").read_bytes() == (tmp_path / "two.glb").read_bytes()
