"""The pictures that the data browser shows of an object's views."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from render.images import Rgba, encode_png
from render.resample import resample
from render.views import ViewKind
from tasks.artifacts.views import ViewSet

TILE_PX, THUMBNAIL_PX = 144, 96
KEPT = 512
"""Pictures that are kept in memory, some tens of kilobytes each."""


@dataclass(frozen=True)
class Overview:
    """How the views of an object are shown beside each other."""

    captions: Mapping[str, str]
    """What is written under each view, by its name, in the order of the cameras."""
    columns: int
    """Views in a row, so that rows are rings of targets."""


class Pictures:
    """Draws pictures of the views of a set, those asked for last from memory.

    Args:
        views: The sealed set.

    Raises:
        ValueError: It is not sealed.
    """

    def __init__(self, views: Path) -> None:
        self._views = ViewSet.open(views)
        self.tile = lru_cache(KEPT)(self._tile)
        self.thumbnail = lru_cache(KEPT)(self._thumbnail)

    def __contains__(self, uid: str) -> bool:
        return uid in self._views.reader

    def overview(self, uid: str) -> Overview:
        """Return how an object's views are shown, once all of them were drawn; raises as `tile` does."""
        cameras = self._views.cameras(uid)
        for camera in cameras:
            self.tile(uid, camera.name)
        azimuths = {round(at.azimuth_deg, 3) for at in cameras if at.name.startswith(ViewKind.TARGET)}
        captions = {at.name: f"{at.name} {at.azimuth_deg:.0f}/{at.elevation_deg:.0f}" for at in cameras}
        return Overview(captions, len(azimuths) or 8)

    def view(self, uid: str, name: str) -> bytes:
        """Return one view as the PNG file that it is.

        Raises KeyError for a view that there is none of, ValueError where it is damaged.
        """
        return self._views.file(uid, name)[0]

    def _tile(self, uid: str, name: str) -> bytes:
        """Return one view, smaller, as PNG; raises as `view` does."""
        return encode_png(self._small(uid, name, TILE_PX))

    def _thumbnail(self, uid: str) -> bytes:
        """Return the first view of an object, small, as PNG; raises as `view` does."""
        return encode_png(self._small(uid, self._views.image_names(uid)[0], THUMBNAIL_PX))

    def _small(self, uid: str, name: str, side: int) -> Rgba:
        image = self._views.image(uid, name)
        return resample(image, side)
