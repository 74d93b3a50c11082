"""Rendered views as images to train the mask-aware VAE on, and the sheets that compare images in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from render.images import encode_png, paired_sheet
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.tables import Split
from tasks.artifacts.views import Image, ViewSet

MEMORY_BYTES = 2 * 1024**3
"""Sets up to this size are decoded once and kept."""
SHEET_COLUMNS = 8


@dataclass(frozen=True)
class StoredImages:
    """Views that are read from their shards whenever asked for; satisfies `models.training.vae.ImageSource`."""

    views: ViewSet
    uids: Sequence[str]
    """Objects all of whose views are meant, object by object."""

    def __len__(self) -> int:
        """Number of images."""
        return int(self._ends[-1]) if self.uids else 0

    def __getitem__(self, index: int) -> Image:
        """One image: uint8 (H, W, 4), straight alpha."""
        return self.views.image(*self._entry(index))

    def name(self, index: int) -> str:
        """Object and view of an image, e.g. chair/t07."""
        return "/".join(self._entry(index))

    def _entry(self, index: int) -> tuple[str, str]:
        """Object and view of an image: a list of them would take half a gigabyte for 180,000 objects of 42 views."""
        row = int(np.searchsorted(self._ends, index, side="right"))
        names = self.views.image_names(self.uids[row])
        return self.uids[row], names[index - int(self._ends[row])]

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        """Number of images up to each object, itself included."""
        return np.cumsum([len(self.views.image_names(uid)) for uid in self.uids])


@dataclass(frozen=True)
class DecodedImages:
    """Views that were decoded once and are kept in memory; satisfies `models.training.vae.ImageSource`."""

    pixels_NHW4: Image
    names: Sequence[str]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.pixels_NHW4)

    def __getitem__(self, index: int) -> Image:
        """One image: uint8 (H, W, 4), straight alpha."""
        return self.pixels_NHW4[index]

    def name(self, index: int) -> str:
        """Object and view of an image, e.g. chair/t07."""
        return self.names[index]


def list_images(views: ViewSet, split: Split) -> StoredImages:
    """List all views of the objects of a split by uid and name; their depth and normal maps are no images."""
    splits = views.facts("split")
    return StoredImages(views, [uid for uid in views.uids if splits[uid] == split])


def keep_in_memory(images: StoredImages, limit: int = MEMORY_BYTES) -> StoredImages | DecodedImages:
    """Decode all images if they take at most `limit` bytes; otherwise return `images` as they are."""
    if len(images) * images[0].nbytes > limit:
        return images
    pixels = np.stack([images[index] for index in range(len(images))])
    return DecodedImages(pixels, [images.name(index) for index in range(len(images))])


def evenly_spaced(images: StoredImages, count: int) -> Image:
    """Take at most `count` images at equal distances from the list, always the same: (N, H, W, 4)."""
    chosen = np.unique(np.linspace(0, len(images) - 1, count).astype(int))
    return np.stack([images[int(index)] for index in chosen])


def write_comparison(path: Path, above: Sequence[Image], below: Sequence[Image]) -> None:
    """Write a sheet of pairs of rows, each image above the one that it is compared with; only whole rows are shown."""
    columns = min(SHEET_COLUMNS, len(above))
    num_shown = len(above) // columns * columns
    write_bytes(path, encode_png(paired_sheet(above[:num_shown], below[:num_shown], columns)))
