"""How the objects of a view set look, in numbers: coverage, brightness, and a thumbnail to find look-alikes by."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from render.images import COVERED, Rgba, coverage
from render.resample import resample
from render.views import ViewKind
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.views import ViewSet

THUMBNAIL_PX = 8
"""Side of a view's thumbnail."""
LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""


@dataclass(frozen=True)
class Appearance:
    """Measurements of N objects, in the order of `uid`."""

    uid: npt.NDArray[np.str_]
    views: npt.NDArray[np.int64]
    """Number of views (N) that an object has."""
    coverage: npt.NDArray[np.float32]
    """Share of the image (N) that the object covers, 0 to 1: the mean over the views that were looked at."""
    brightness: npt.NDArray[np.float32]
    """Mean luma (N) of the object's pixels in sRGB, 0 to 1; 0 for an object that no view shows."""
    thumbnails: npt.NDArray[np.uint8]
    """V views of 8 x 8 pixels (N, V * 8 * 8 * 4): RGBA, colours premultiplied, so that what is transparent is equal."""

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """Return all objects of the parts, sorted by uid."""
        rows = list(parts)
        columns = {column.name: np.concatenate([getattr(row, column.name) for row in rows]) for column in fields(cls)}
        order = np.argsort(columns["uid"])
        return cls(**{name: values[order] for name, values in columns.items()})

    def save(self, path: Path) -> None:
        """Write the measurements as NPZ, whole or not at all."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{column.name: getattr(self, column.name) for column in fields(self)})
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` has written."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(**{column.name: stored[column.name] for column in fields(cls)})


def measure_objects(views: ViewSet, views_each: int) -> Appearance:
    """Look at `views_each` target views of each object of a set.

    Raises ValueError for a truncated or damaged shard.
    """
    rows = [_measure(views, uid, views_each) for uid in views.uids]
    counts, covered, bright, thumbnails = zip(*rows, strict=True)
    return Appearance(
        uid=np.array(views.uids),
        views=np.array(counts),
        coverage=np.array(covered, dtype=np.float32),
        brightness=np.array(bright, dtype=np.float32),
        thumbnails=np.stack(thumbnails),
    )


def looked_at(names: Sequence[str], count: int) -> list[str]:
    """Choose `count` of the target views, spread over azimuth and elevation.

    `names` go through the azimuths of one elevation after the other. A stride of a whole elevation would look from one
    azimuth alone, so it is longer by one part in `count` of it.
    """
    row = len(names) // count
    return [names[index * (row + row // count) % len(names)] for index in range(count)]


def _measure(views: ViewSet, uid: str, count: int) -> tuple[int, float, float, npt.NDArray[np.uint8]]:
    """Return the number of an object's views, its coverage, its brightness and its thumbnails (V * 8 * 8 * 4)."""
    names = views.names(uid)
    targets = [name for name in names if name.startswith(ViewKind.TARGET)]
    images = views.images(uid, looked_at(targets, min(count, len(targets))))
    pixels = images[images[..., 3] > COVERED][:, :3]
    brightness = float(pixels.mean(axis=0) @ LUMA / 255) if len(pixels) else 0.0
    thumbnails = np.stack([_thumbnail(image) for image in images])
    return len(names), float(np.mean([coverage(image) for image in images])), brightness, thumbnails.reshape(-1)


def _thumbnail(image: Rgba) -> Rgba:
    small = resample(image, THUMBNAIL_PX).astype(np.float32)
    small[..., :3] *= small[..., 3:] / 255
    return np.round(small).astype(np.uint8)
