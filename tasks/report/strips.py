"""Rows of views of one object: the given ones, the truth, and samples above their errors."""

from collections.abc import Sequence

import numpy as np

from render.cameras import Camera
from render.images import Rgba, contact_sheet
from tasks.artifacts.views import ViewSet
from tasks.report.pictures import THUMBNAIL_PX, Picture, animation, error_image, picture, shrink, view_sheet

SHOWN_ELEVATION_DEG = 30.0
"""The views nearest to this elevation stand for all of them."""
MAX_COLUMNS = 8
"""Views side by side; of more, every n-th is shown."""


def shown_views(cameras: Sequence[Camera]) -> list[str]:
    """Name the views that stand for all: at most MAX_COLUMNS, from the row nearest to SHOWN_ELEVATION_DEG."""
    distance = {camera.name: abs(camera.elevation_deg - SHOWN_ELEVATION_DEG) for camera in cameras}
    row = [name for name, value in distance.items() if value == min(distance.values())]
    return row[:: -(-len(row) // MAX_COLUMNS)]


def thumbnails(views: ViewSet, uid: str, names: Sequence[str]) -> list[Rgba]:
    """Read views at most THUMBNAIL_PX wide."""
    return [shrink(views.image(uid, name), THUMBNAIL_PX) for name in names]


def plain_strip(images: Sequence[Rgba], alt: str) -> Picture:
    """Draw views side by side."""
    return picture(view_sheet(images, len(images)), alt)


def error_strip(drawn: Sequence[Rgba | None], truth: Sequence[Rgba], alt: str) -> Picture:
    """Draw views side by side, and under each how far it is from the truth; a view that is missing stays white."""
    side = min(len(image) for image in (*drawn, *truth) if image is not None)
    blank = np.zeros((side, side, 4), np.uint8)
    above, below = [], []
    for made, true in zip(drawn, truth, strict=True):
        small = None if made is None else shrink(made, side)
        above.append(blank if small is None else small)
        below.append(blank if small is None else error_image(small, shrink(true, side)))
    return picture(contact_sheet([*above, *below], len(above), background="white"), alt)


def turning_strip(rows: Sequence[Sequence[Rgba | None]], alt: str) -> Picture:
    """Show one view after the other, all rows side by side, so that they turn together."""
    side = min(len(image) for row in rows for image in row if image is not None)
    blank = np.zeros((side, side, 4), np.uint8)
    fitted = [[blank if image is None else shrink(image, side) for image in row] for row in rows]
    return animation([contact_sheet(frame, len(rows), background="white") for frame in zip(*fitted, strict=True)], alt)
