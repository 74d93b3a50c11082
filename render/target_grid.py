"""The grid of target cameras that all objects of a view set share (sec. 4.1), and where on it other cameras stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from render.cameras import Camera

COLUMN_TOLERANCE = 0.125
"""Steps between columns by which a condition view may stand beside one, 5.6 degrees of the paper's 45: a quarter of the
views that others rendered from anywhere can be used so. Views rendered here stand on the columns."""


@dataclass(frozen=True)
class TargetGrid:
    """Target cameras of one object, which are those of every object: elevation rows outer, azimuth columns inner."""

    uid: str
    """The object."""
    cameras: Sequence[Camera]

    def require(self, uid: str, cameras: Sequence[Camera]) -> None:
        """Raise ValueError when the target cameras of another object are not these."""
        if cameras != self.cameras:
            raise ValueError(f"the target cameras of {uid} are not those of {self.uid}; render all objects alike")

    @property
    def azimuths_deg(self) -> list[float]:
        """Azimuth of each column, in order."""
        return list(dict.fromkeys(camera.azimuth_deg for camera in self.cameras))

    @property
    def geometry(self) -> dict[str, Any]:
        """Where the cameras stand, as a model remembers it: number of azimuths, elevations_deg, fov_deg, distance."""
        return {
            "azimuths": len(self.azimuths_deg),
            "elevations_deg": list(dict.fromkeys(camera.elevation_deg for camera in self.cameras)),
            "fov_deg": self.cameras[0].fov_deg,
            "distance": self.cameras[0].distance,
        }

    def columns(self, uid: str, conditions: Sequence[Camera]) -> list[int]:
        """Column that each condition camera of an object stands on.

        Raises ValueError for one that stands between columns: its targets would have to be rendered anew.
        """
        columns = []
        for camera in conditions:
            turn = (camera.azimuth_deg - self.azimuths_deg[0]) / (360 / len(self.azimuths_deg))
            if abs(turn - round(turn)) > COLUMN_TOLERANCE + 1e-6:
                raise ValueError(
                    f"{uid}.{camera.name} stands at azimuth {camera.azimuth_deg} deg, between the target columns; "
                    "training needs condition views on the columns"
                )
            columns.append(round(turn) % len(self.azimuths_deg))
        return columns
