"""Shapes of objects (render.shape), which normalize finds and by which copies of an object are recognised."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from render.shape import LENGTH, Shape
from tasks.artifacts.atomic import write_bytes

SHAPES = "shapes.npz"
"""Name of their file in a folder of placements."""


@dataclass(frozen=True)
class Shapes:
    """Descriptions of N objects, sorted by uid."""

    uid: npt.NDArray[np.str_]
    shape: npt.NDArray[np.float32]
    """(N, D)."""

    @classmethod
    def of(cls, shapes: Mapping[str, Shape]) -> Self:
        """Put descriptions by uid into rows."""
        uids = sorted(shapes)
        rows = np.stack([shapes[uid] for uid in uids]) if uids else np.zeros((0, LENGTH), np.float32)
        return cls(np.array(uids, dtype=np.str_), rows)

    def only(self, uids: npt.NDArray[np.str_]) -> Self:
        """Return the rows of those of some objects that are described."""
        is_kept = np.isin(self.uid, uids)
        return type(self)(self.uid[is_kept], self.shape[is_kept])

    def save(self, path: Path) -> None:
        """Write them as NPZ, whole or not at all; equal shapes are equal bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, uid=self.uid, shape=self.shape)
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` has written.

        Raises ValueError where the file is not there: an earlier version made its folder.
        """
        if not path.exists():
            raise ValueError(f"{path} does not exist; an earlier version made this folder: run `dvc repro normalize`")
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["uid"], stored["shape"])


def shape_as_text(shape: Shape) -> str:
    """Return a description as text, exactly."""
    return base64.b64encode(shape.astype("<f4").tobytes()).decode()


def shape_of_text(text: str) -> Shape:
    """Return the description that `shape_as_text` wrote."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32)
