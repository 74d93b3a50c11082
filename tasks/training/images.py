"""Rendered views as pictures to train the mask-aware VAE on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.artifacts.views import Image, ViewSet

MEMORY_BYTES = 2 * 1024**3
"""Sets up to this size are decoded once and kept."""


@dataclass(frozen=True)
class ViewPictures:
    """Views read from their shards whenever asked for; satisfies `models.training.vae.ImageSource`."""

    views: ViewSet
    entries: Sequence[tuple[str, str]]
    """(uid, view)"""

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.entries)

    def __getitem__(self, index: int) -> Image:
        """(H, W, 4), straight alpha."""
        return self.views.image(*self.entries[index])

    def name(self, index: int) -> str:
        """E.g. chair/t07."""
        return "/".join(self.entries[index])


@dataclass(frozen=True)
class MemoryPictures:
    """Pictures that were decoded once; satisfies `models.training.vae.ImageSource`."""

    pixels: Image
    """(N, H, W, 4)"""
    names: Sequence[str]

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image:
        """(H, W, 4), straight alpha."""
        return self.pixels[index]

    def name(self, index: int) -> str:
        """E.g. chair/t07."""
        return self.names[index]


def list_pictures(views: ViewSet, split: str) -> ViewPictures:
    """All views of the objects of a split, by uid and view."""
    uids = [uid for uid in views.uids if views.facts[uid]["split"] == split]
    names = [(uid, name) for uid in uids for name in views.reader.names(uid)]
    return ViewPictures(views, [(uid, name.removesuffix(".png")) for uid, name in names if name.endswith(".png")])


def kept_in_memory(pictures: ViewPictures, limit: int = MEMORY_BYTES) -> ViewPictures | MemoryPictures:
    """The same pictures, decoded, if they take at most `limit` bytes."""
    if len(pictures) * pictures[0].nbytes > limit:
        return pictures
    pixels = np.stack([pictures[index] for index in range(len(pictures))])
    return MemoryPictures(pixels, [pictures.name(index) for index in range(len(pictures))])


def evenly_spaced(pictures: ViewPictures, count: int) -> Image:
    """At most `count` pictures evenly from the list, always the same: (N, H, W, 4)."""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, count).astype(int))
    return np.stack([pictures[int(index)] for index in chosen])
