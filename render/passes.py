"""A view as arrays and as files: colour, and what geometry lies behind each pixel."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from render.cameras import Camera
from render.images import Rgba, encode_png

Floats = npt.NDArray[np.float32]

DEPTH_UNIT = 1e-4
"""World units per step of a depth file; 65535 steps: as far away, or further."""


@dataclass(frozen=True)
class View:
    """One rendered view. Depth and normals are those of the surface at the middle of each pixel."""

    rgba: Rgba
    depth: Floats | None = None
    """(H, W) distance from the camera's plane (along its axis) in world units; 0 where there is no surface."""
    normal: Floats | None = None
    """(H, W, 3) unit vectors in world space; 0 where there is no surface."""


def view_files(cameras: Sequence[Camera], views: Sequence[View]) -> dict[str, bytes]:
    """`<view>.png`, and `<view>.depth.png` and `<view>.normal.png` where a view has them."""
    files = {}
    for camera, view in zip(cameras, views, strict=True):
        files[f"{camera.name}.png"] = encode_png(view.rgba)
        if view.depth is not None:
            files[f"{camera.name}.depth.png"] = encode_depth(view.depth)
        if view.normal is not None:
            files[f"{camera.name}.normal.png"] = encode_normal(view.normal)
    return files


def encode_depth(depth: Floats) -> bytes:
    """A grey PNG of 16 bits, in steps of DEPTH_UNIT."""
    return _png(Image.fromarray(np.rint(depth / DEPTH_UNIT).clip(0, 65535).astype(np.uint16)))


def decode_depth(content: bytes) -> Floats:
    """Inverse of encode_depth, to half a step."""
    return (np.array(Image.open(io.BytesIO(content))) * DEPTH_UNIT).astype(np.float32)


def encode_normal(normal: Floats) -> bytes:
    """An RGB PNG: -1 to 1 as 1 to 255, no surface as black."""
    colours = np.where(normal.any(axis=-1, keepdims=True), np.rint(normal * 127 + 128), 0)
    return _png(Image.fromarray(colours.astype(np.uint8)))


def decode_normal(content: bytes) -> Floats:
    """Inverse of encode_normal, to unit length and half a degree."""
    colours = np.array(Image.open(io.BytesIO(content))).astype(np.float32)
    vectors = np.where(colours.any(axis=-1, keepdims=True), colours - 128, 0)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
