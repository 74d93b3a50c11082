"""A view as arrays and as PNG files: colour, and depth and normal of the surface behind each pixel."""

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
"""World units per step of a depth file; the last of its 65535 steps stands for that depth and all beyond."""


@dataclass(frozen=True)
class View:
    """One rendered view of H x W pixels. Depth and normals are those of the surface at the middle of each pixel."""

    rgba: Rgba
    """uint8 (H, W, 4): sRGB colour, straight alpha; black where alpha is 0."""
    depth: Floats | None = None
    """float32 (H, W): distance from the camera's plane, along its axis, in world units; 0 where there is no surface.
    None unless `passes` of the configuration names it."""
    normal: Floats | None = None
    """float32 (H, W, 3): unit vectors in world space; 0 where there is no surface. None unless `passes` names it."""


def view_files(cameras: Sequence[Camera], views: Sequence[View]) -> dict[str, bytes]:
    """Return the files of an object's views by name: `t00.png`, and `t00.depth.png`, `t00.normal.png` if any."""
    files = {}
    for camera, view in zip(cameras, views, strict=True):
        files[f"{camera.name}.png"] = encode_png(view.rgba)
        if view.depth is not None:
            files[f"{camera.name}.depth.png"] = encode_depth(view.depth)
        if view.normal is not None:
            files[f"{camera.name}.normal.png"] = encode_normal(view.normal)
    return files


def encode_depth(depth: Floats) -> bytes:
    """Return a depth map (H, W) as a grey PNG file of 16 bits, in steps of DEPTH_UNIT."""
    return encode_png(np.rint(depth / DEPTH_UNIT).clip(0, 65535).astype(np.uint16))


def decode_depth(content: bytes) -> Floats:
    """Return the depth map (H, W) in a file of `encode_depth`, exact to half a step."""
    return (np.array(Image.open(io.BytesIO(content))) * DEPTH_UNIT).astype(np.float32)


def encode_normal(normal: Floats) -> bytes:
    """Return normals (H, W, 3) as an RGB PNG file: -1 to 1 become 1 to 255, no surface becomes black."""
    colours = np.where(normal.any(axis=-1, keepdims=True), np.rint(normal * 127 + 128), 0)
    return encode_png(colours.astype(np.uint8))


def decode_normal(content: bytes) -> Floats:
    """Return the normals (H, W, 3) in a file of `encode_normal`: of unit length, exact to half a degree."""
    colours = np.array(Image.open(io.BytesIO(content))).astype(np.float32)
    vectors = np.where(colours.any(axis=-1, keepdims=True), colours - 128, 0)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
