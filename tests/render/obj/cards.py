"""OBJ files of one square that faces the camera at azimuth 0."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

CORNERS = ("0 -1 1", "0 -1 -1", "0 1 -1", "0 1 1")
UVS = ("0 0", "1 0", "1 1", "0 1")
FACE = "f 1/1 2/2 3/3 4/4"
SIDE = 8


def card(*, head: str = "", colours: tuple[str, ...] = ("", "", "", ""), material: str = "usemtl m") -> str:
    """The text of an OBJ file: statements before the vertices, colours behind them, a material."""
    vertices = [f"v {corner} {colour}".strip() for corner, colour in zip(CORNERS, colours, strict=True)]
    lines = [head, *vertices, *(f"vt {uv}" for uv in UVS), material, FACE, ""]
    return "\n".join(line for line in lines if line) + "\n"


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files below `root`; the first is returned."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root / next(iter(files))


def picture(path: Path, colour: tuple[int, ...] | int, mode: str = "RGB") -> Path:
    """An image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (SIDE, SIDE), colour).save(path)
    return path


def half_clear(path: Path, colour: tuple[int, int, int]) -> Path:
    """An image of one colour whose upper half is transparent."""
    pixels = np.full((SIDE, SIDE, 4), (*colour, 255), dtype=np.uint8)
    pixels[: SIDE // 2, :, 3] = 0
    Image.fromarray(pixels).save(path)
    return path


def half_mask(path: Path, mode: str) -> Path:
    """A mask that is black in its upper half and white below, without alpha or with one of 255 everywhere."""
    pixels = np.full((SIDE, SIDE), 255, dtype=np.uint8)
    pixels[: SIDE // 2] = 0
    Image.fromarray(pixels).convert(mode).save(path)
    return path
