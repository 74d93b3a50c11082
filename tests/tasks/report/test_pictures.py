"""Pictures of the report: sizes, errors, and how meshes are lit."""

import base64
import io

import numpy as np
import trimesh
from PIL import Image, ImageSequence

from models.reconstruction.mesh import Mesh
from render.images import MARGIN_PX
from tasks.report.mesh_preview import PREVIEW_SIDE_PX, mesh_preview
from tasks.report.pictures import ERROR_SCALE, THUMBNAIL_PX, animation, error_image, picture, shrink, view_sheet

STEP = PREVIEW_SIDE_PX + MARGIN_PX


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,"))))


def preview_tiles(mesh: trimesh.Trimesh) -> list[np.ndarray]:
    """The three pictures of a red mesh."""
    red = np.tile(np.array([200, 0, 0], np.uint8), (len(mesh.vertices), 1))
    sheet = mesh_preview(Mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), red), 0.0)
    return [sheet[MARGIN_PX:-MARGIN_PX, MARGIN_PX + left : left + STEP, :3].astype(int) for left in (0, STEP, 2 * STEP)]


def test_mesh_preview_is_in_colour_then_grey_and_lit_from_the_upper_left() -> None:
    colour, grey, back = preview_tiles(trimesh.creation.icosphere(3, 0.4))
    middle, aside = PREVIEW_SIDE_PX // 2, PREVIEW_SIDE_PX // 6
    assert colour[middle, middle, 0] > 140
    assert colour[middle, middle, 1:].tolist() == [0, 0]
    for tile in (grey, back):
        assert np.ptp(tile[middle, middle]) < 20
        assert tile[middle - aside, middle - aside].sum() > tile[middle + aside, middle + aside].sum() + 100
        assert tile[0, 0].tolist() == [255, 255, 255]


def test_mesh_preview_of_a_box_keeps_each_face_in_one_shade() -> None:
    _, grey, _ = preview_tiles(trimesh.creation.box((0.8, 0.8, 0.8)))
    quarter = PREVIEW_SIDE_PX // 4
    inside = grey[quarter:-quarter, quarter:-quarter].reshape(-1, 3)
    shades, counts = np.unique(inside, axis=0, return_counts=True)
    is_large = counts > len(inside) // 30
    assert len(shades[is_large]) in (2, 3)
    assert counts[is_large].sum() > 0.9 * len(inside)


def test_view_sheet_large_views_are_shown_smaller_and_small_ones_as_they_are() -> None:
    large, small = (np.full((side, side, 4), 128, np.uint8) for side in (2 * THUMBNAIL_PX, 24))
    assert view_sheet([large, large], 2).shape[0] == THUMBNAIL_PX + 2 * MARGIN_PX
    assert view_sheet([small], 1).shape[:2] == (24 + 2 * MARGIN_PX, 24 + 2 * MARGIN_PX)


def test_shrink_keeps_proportions_and_never_enlarges() -> None:
    image = np.full((50, 100, 4), 255, np.uint8)
    assert shrink(image, 40).shape[:2] == (20, 40)
    assert shrink(image, 400).shape[:2] == (50, 100)


def test_error_image_is_white_where_views_agree_on_white_and_darkest_from_the_scale_on() -> None:
    truth, drawn = np.zeros((2, 1, 3, 4), np.uint8)
    drawn[0, :, :3] = 77  # invisible: under zero alpha
    drawn[0, 1] = (*[round(255 * (1 - ERROR_SCALE))] * 3, 255)
    drawn[0, 2] = (0, 0, 0, 255)
    same, at_scale, beyond = error_image(drawn, truth)[0].tolist()
    assert same == [255, 255, 255, 255]
    assert sum(at_scale[:3]) < 200
    np.testing.assert_allclose(at_scale, beyond, atol=3)


def test_picture_and_animation_have_their_frames_on_white_and_equal_bytes() -> None:
    frames = [np.full((24, 40, 4), (value, 0, 0, 255), np.uint8) for value in (50, 150, 250)]
    clear = np.zeros((24, 40, 4), np.uint8)
    moving = animation([*frames, clear], "turning")
    assert (moving.width, moving.height, len(list(ImageSequence.Iterator(opened(moving.uri))))) == (40, 24, 4)
    assert moving == animation([*frames, clear], "turning")
    assert np.asarray(opened(picture(clear, "still").uri).convert("RGB")).min() == 255
