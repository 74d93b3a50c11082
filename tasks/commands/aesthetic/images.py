"""The images by which objects are scored: target views of a view set, or the thumbnails of a catalog."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from render.images import UNREADABLE
from tasks.artifacts.views import ViewSet


class ObjectImages(Protocol):
    """Images of some objects, which a worker reads; it must pickle."""

    @property
    def names(self) -> Sequence[tuple[str, str]]:
        """Uid and name of each image, those of an object in sequence."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """The files that hold them."""
        ...

    def read(self, uid: str, name: str) -> Image.Image | None:
        """Read an image as RGBA with straight alpha; None where it is no image that can be decoded."""
        ...


@dataclass(frozen=True)
class ViewImages:
    """Rendered views of objects."""

    views: ViewSet
    """The objects alone."""
    chosen: Mapping[str, Sequence[str]]
    """Names of the views that count, by uid."""

    @property
    def names(self) -> Sequence[tuple[str, str]]:
        """Uid and name of each view."""
        return [(uid, name) for uid, names in self.chosen.items() for name in names]

    @property
    def files(self) -> Sequence[Path]:
        """The objects' shards."""
        return self.views.shards

    def read(self, uid: str, name: str) -> Image.Image:
        """Read a view.

        Raises ValueError for a truncated or damaged shard.
        """
        return Image.fromarray(self.views.image(uid, name))


@dataclass(frozen=True)
class ThumbnailImages:
    """Fetched pictures of objects, one each."""

    paths: Mapping[str, Path]

    @property
    def names(self) -> Sequence[tuple[str, str]]:
        """Uid and file name of each picture."""
        return [(uid, path.name) for uid, path in self.paths.items()]

    @property
    def files(self) -> Sequence[Path]:
        """The pictures."""
        return list(self.paths.values())

    def read(self, uid: str, name: str) -> Image.Image | None:  # noqa: ARG002 an object has one
        """Read a picture; None where a server has sent something else in its place."""
        try:
            with Image.open(self.paths[uid]) as image:
                return image.convert("RGBA")
        except UNREADABLE:
            return None
