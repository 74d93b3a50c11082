"""Draws the sheet of `python -m flows look`: a row of images for each object, with what is known of it above."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from render.images import MARGIN_PX, Rgba, contact_sheet

LINE_PX = 14
CHARACTER_PX = 6.5
"""Width of a character of Pillow's own font, on average."""


@dataclass(frozen=True)
class Row:
    """One object of the sheet."""

    title: str
    """Uid, file, up axis and number of faces."""
    verdict: str
    """What is wrong with it; empty when nothing is."""
    images: tuple[Rgba, ...]
    """(H, W, 4) each; none when it could not be rendered."""
    labels: tuple[str, ...]
    """One per image."""

    @property
    def text(self) -> str:
        """Return both sentences as one."""
        return f"{self.title}: {self.verdict}" if self.verdict else self.title


def draw_sheet(rows: Sequence[Row], *, num_columns: int, side: int) -> Rgba:
    """Return an opaque page (H, W, 4) with the rows below each other.

    Args:
        rows: At least one.
        num_columns: Images per row.
        side: Of an image, in pixels.
    """
    width = num_columns * (side + MARGIN_PX) + MARGIN_PX
    return np.concatenate([draw_row(row, width) for row in rows])


def draw_row(row: Row, width: int) -> Rgba:
    """Return the band (H, width, 4) of one object."""
    columns = int((width - 2 * MARGIN_PX) / CHARACTER_PX)
    title, verdict = (textwrap.wrap(drawable(text), columns) for text in (row.title, row.verdict))
    head = Image.new("RGB", (width, (len(title) + len(verdict)) * LINE_PX + MARGIN_PX), "white")
    draw = ImageDraw.Draw(head)
    for index, line in enumerate([*title, *verdict]):
        colour = "black" if index < len(title) else "red"
        draw.text((MARGIN_PX, MARGIN_PX + index * LINE_PX), line, fill=colour)
    band: Rgba = np.array(head.convert("RGBA"))
    if not row.images:
        return band
    return np.concatenate([band, contact_sheet(row.images, len(row.images), labels=row.labels)])


def drawable(text: str) -> str:
    """Return the text with what Pillow's own font cannot draw written as escapes, so that it stays readable."""
    return text.encode("latin-1", "backslashreplace").decode("latin-1")
