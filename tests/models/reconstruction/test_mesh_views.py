"""Pictures of a mesh: sizes, colours and edges that follow from the geometry."""

import numpy as np
import pytest

from models.reconstruction.mesh import Mesh
from models.reconstruction.mesh_views import render_mesh_views
from models.reconstruction.views import Cameras
from render.cameras import Camera
from tasks.artifacts.views import as_cameras

SIDE = 24


@pytest.fixture(scope="module")
def front() -> Cameras:
    """Looks from +X along -X; the image is one unit wide at the origin's depth."""
    return as_cameras([Camera("front", 0.0, 0.0, 1.0, float(np.degrees(2 * np.arctan(0.5))))], SIDE)


def square(depth: float, half: float, colours: np.ndarray) -> Mesh:
    """A square across the axis at x = depth; corners from the image's top left, row by row."""
    corners = [(depth, y, z) for z in (half, -half) for y in (-half, half)]
    return Mesh(np.array(corners, np.float32), np.array([[0, 1, 2], [1, 3, 2]], np.int32), colours.astype(np.uint8))


def test_render_square_fills_its_area_with_soft_edges(front: Cameras) -> None:
    half = 7.5 / SIDE  # its edges run through the middle of pixels
    image = render_mesh_views(square(0.0, half, np.full((4, 3), 200)), front)[0].astype(int)
    assert image.shape == (SIDE, SIDE, 4)
    assert (image[5:19, 5:19] == [200, 200, 200, 255]).all()
    # one of three columns of rays lies just beyond the middle of the edge's pixel, one on it
    edge = image[5:19, 4, 3]
    assert ((edge >= 255 / 3 - 1) & (edge <= 255 * 2 / 3 + 1)).all()
    assert (image[image[..., 3] > 0][:, :3] == 200).all(), "background bleeds into the edge"
    assert not image[:4].any()
    assert not image[20:].any()


def test_render_colours_interpolate_between_the_vertices_as_seen(front: Cameras) -> None:
    ramp = np.array([[0, 0, 50], [240, 0, 50], [0, 240, 50], [240, 240, 50]])  # red to the right, green down
    image = render_mesh_views(square(0.0, 0.5, ramp), front)[0].astype(float)
    expected = 240 * (np.arange(SIDE) + 0.5) / SIDE
    assert np.abs(image[..., 0] - expected[None]).max() <= 0.51
    assert np.abs(image[..., 1] - expected[:, None]).max() <= 0.51
    assert (image[..., 2:] == [50, 255]).all()


def test_render_nearer_face_hides_the_farther_and_views_keep_their_order(front: Cameras) -> None:
    near, far = square(0.2, 0.1, np.full((4, 3), 30)), square(-0.2, 0.4, np.full((4, 3), 220))
    both = Mesh(
        np.concatenate([near.vertices, far.vertices]),
        np.concatenate([near.faces, far.faces + 4]),
        np.concatenate([near.colours, far.colours]),
    )
    back = Camera("back", 180.0, 0.0, 1.0, float(front.fov_deg[0]))
    cameras = as_cameras([Camera("front", 0.0, 0.0, 1.0, float(front.fov_deg[0])), back], SIDE)
    from_front, from_back = render_mesh_views(both, cameras)
    assert from_front[SIDE // 2, SIDE // 2].tolist() == [30, 30, 30, 255]
    assert from_back[SIDE // 2, SIDE // 2].tolist() == [220, 220, 220, 255]
