"""Pictures of the report: sizes, and how meshes are lit."""

import numpy as np
import trimesh

from models.reconstruction.mesh import Mesh
from render.images import MARGIN_PX, decode_png, encode_png
from tasks.report.pictures import MAX_SIDE_PX, PREVIEW_SIDE_PX, mesh_preview, thumbnail, view_sheet

STEP = PREVIEW_SIDE_PX + MARGIN_PX


def preview_tiles(mesh: trimesh.Trimesh) -> list[np.ndarray]:
    """The three pictures of a red mesh."""
    red = np.tile(np.array([200, 0, 0], np.uint8), (len(mesh.vertices), 1))
    sheet = decode_png(mesh_preview(Mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), red), 0.0))
    return [sheet[MARGIN_PX:-MARGIN_PX, MARGIN_PX + left : left + STEP, :3].astype(int) for left in (0, STEP, 2 * STEP)]


def test_mesh_preview_is_in_colour_then_grey_and_lit_from_the_upper_left() -> None:
    colour, grey, back = preview_tiles(trimesh.creation.icosphere(3, 0.4))
    middle = PREVIEW_SIDE_PX // 2
    assert colour[middle, middle, 0] > 140
    assert colour[middle, middle, 1:].tolist() == [0, 0]
    for tile in (grey, back):
        assert np.ptp(tile[middle, middle]) < 20
        assert tile[middle - 25, middle - 25].sum() > tile[middle + 25, middle + 25].sum() + 100
        assert tile[0, 0].tolist() == [255, 255, 255]


def test_mesh_preview_of_a_box_keeps_each_face_in_one_shade() -> None:
    _, grey, _ = preview_tiles(trimesh.creation.box((0.8, 0.8, 0.8)))
    inside = grey[40:120, 40:120].reshape(-1, 3)
    shades, counts = np.unique(inside, axis=0, return_counts=True)
    assert len(shades[counts > 200]) in (2, 3)
    assert counts[counts > 200].sum() > 0.9 * len(inside)


def test_view_sheet_large_views_are_shown_smaller_and_small_ones_as_they_are() -> None:
    large, small = (np.full((side, side, 4), 128, np.uint8) for side in (2 * MAX_SIDE_PX, 24))
    assert decode_png(view_sheet([large, large], 2)).shape[0] == MAX_SIDE_PX + 2 * MARGIN_PX
    assert decode_png(view_sheet([small], 1)).shape[:2] == (24 + 2 * MARGIN_PX, 24 + 2 * MARGIN_PX)


def test_thumbnail_keeps_proportions() -> None:
    picture = encode_png(np.full((50, 100, 4), 255, np.uint8))
    assert decode_png(thumbnail(picture, 40)).shape[:2] == (20, 40)
    assert decode_png(thumbnail(picture, 400)).shape[:2] == (50, 100)
