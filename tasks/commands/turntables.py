"""Writes one row of generated views as moving pictures: GIF, WebP and MP4."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from models.data.pixels import Pixels
from render.cameras import Camera
from render.images import Rgba, over_background

GIF, WEBP, MP4 = "turntable.gif", "turntable.webp", "turntable.mp4"
FRAME_MS = 200
"""Milliseconds that a view is shown."""
ELEVATION_DEG = 15.0
"""The row of views nearest to it is shown."""
MP4_TURNS = 3
"""Times that the film turns; a film, unlike the others, ends."""
WEBP_QUALITY = 90
MP4_RATE_FACTOR = 18
"""x264's constant rate factor; its guide calls 18 visually nearly lossless."""
MP4_OPTIONS = {"crf": str(MP4_RATE_FACTOR), "mbtree": "0"}
"""x264's. Its macroblock tree (core 165) looks at memory that nobody has written, seen for most widths from 17 to 109
and from 131 pixels, so that equal views would give different films."""


def write_turntables(folder: Path, cameras: Sequence[Camera], images: Sequence[Rgba]) -> None:
    """Write `turntable.gif`, `.webp` and `.mp4` of the views of one row, one after the other.

    The WebP keeps the alpha; the others are on white. All of them play everywhere: the film is H.264 with 4:2:0 colour.
    """
    nearest = min((camera.elevation_deg for camera in cameras), key=lambda row: abs(row - ELEVATION_DEG))
    turning = [pair for pair in zip(cameras, images, strict=True) if pair[0].elevation_deg == nearest]
    turning.sort(key=lambda pair: pair[0].azimuth_deg)
    on_white = [over_background(image, np.full(3, 255.0)) for _, image in turning]
    _write_animation(folder / GIF, on_white)
    _write_animation(folder / WEBP, [image for _, image in turning], quality=WEBP_QUALITY, exact=False)
    _write_film(folder / MP4, on_white * MP4_TURNS)


def _write_animation(path: Path, frames: Sequence[Pixels], **settings: Any) -> None:
    first, *rest = (Image.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=rest, duration=FRAME_MS, loop=0, **settings)


def _write_film(path: Path, frames: Sequence[Pixels]) -> None:
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as film:
        stream = film.add_stream("libx264", rate=Fraction(1000, FRAME_MS), options=MP4_OPTIONS)
        # 4:2:0 has one colour for 2 x 2 pixels
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        stream.thread_count = 1  # equal views give equal files
        for pixels in frames:
            even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            film.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        film.mux(stream.encode())
