"""The pictures that the data browser shows of an object's views."""

from functools import lru_cache
from pathlib import Path

from render.images import Rgba, contact_sheet, encode_png
from render.resample import resample
from render.views import ViewKind
from tasks.artifacts.views import ViewSet

SHEET_PX, THUMBNAIL_PX = 144, 96
KEPT = 512
"""Pictures that are kept in memory, some tens of kilobytes each."""


class Pictures:
    """Draws pictures of the views of a set, those asked for last from memory..

    Args:
        views: The sealed set.

    Raises:
        ValueError: It is not sealed.
    """

    def __init__(self, views: Path) -> None:
        self._views = ViewSet.open(views)
        self.sheet = lru_cache(KEPT)(self._sheet)
        self.thumbnail = lru_cache(KEPT)(self._thumbnail)

    def __contains__(self, uid: str) -> bool:
        return uid in self._views.reader

    def names(self, uid: str) -> list[str]:
        """Return the names of an object's views in the order of its cameras."""
        return self._views.names(uid)

    def view(self, uid: str, name: str) -> bytes:
        """Return one view as the PNG file that it is.

        Raises KeyError for a view that there is none of, ValueError where it is damaged.
        """
        return self._views.file(uid, name)[0]

    def _sheet(self, uid: str) -> bytes:
        """Return all views of an object on one sheet, as PNG; raises as `view` does."""
        cameras = self._views.cameras(uid)
        images = [self._small(uid, camera.name, SHEET_PX) for camera in cameras]
        labels = [f"{camera.name} {camera.azimuth_deg:.0f}/{camera.elevation_deg:.0f}" for camera in cameras]
        azimuths = {round(at.azimuth_deg, 3) for at in cameras if at.name.startswith(ViewKind.TARGET)}
        return encode_png(contact_sheet(images, len(azimuths) or 8, labels=labels))

    def _thumbnail(self, uid: str) -> bytes:
        """Return the first view of an object, small, as PNG; raises as `view` does."""
        return encode_png(self._small(uid, self._views.image_names(uid)[0], THUMBNAIL_PX))

    def _small(self, uid: str, name: str, side: int) -> Rgba:
        image = self._views.image(uid, name)
        return resample(image, side)
