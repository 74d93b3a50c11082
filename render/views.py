"""The cameras of a view set (sec. 4.1 and 5.1). Rows are elevations, columns are azimuths."""

import math
from enum import StrEnum
from typing import Literal

import numpy as np

from render.cameras import Camera
from render.config import RenderConfig

SYNCDREAMER_FOV_DEG = math.degrees(2 * math.atan(16 / 35))
"""49.13 degrees, a lens of 35 mm before a sensor of 32 mm: of SyncDreamer (meta_info/camera-16.pkl, f = 280 px at 256)
and Zero123 (objaverse-rendering/scripts/blender_script.py)."""


class ViewKind(StrEnum):
    """What a view is for; its letter begins the names of all views of the kind, e.g. t07."""

    TARGET = "t"
    CONDITION = "c"
    RING = "r"
    """A view of SyncDreamer's test."""

    def view_name(self, index: int) -> str:
        """Name of view number `index` of the kind."""
        return f"{self}{index:02d}"


def target_cameras(config: RenderConfig, first_azimuth_deg: float = 0.0) -> list[Camera]:
    """Return the target cameras t00.. in row-major order: elevations outer, azimuths inner.

    Azimuths are evenly spaced from `first_azimuth_deg`.
    """
    angles = [
        ((first_azimuth_deg + 360 * column / config.azimuths) % 360, elevation_deg)
        for elevation_deg in config.elevations_deg
        for column in range(config.azimuths)
    ]
    return [
        Camera(ViewKind.TARGET.view_name(index), azimuth_deg, elevation_deg, config.distance, config.fov_deg)
        for index, (azimuth_deg, elevation_deg) in enumerate(angles)
    ]


def condition_cameras(config: RenderConfig, rng: np.random.Generator) -> list[Camera]:
    """Draw the condition cameras c00.. of training (sec. 5.1).

    Azimuths lie on target columns; elevations and distances are uniform in the ranges of `config`.
    """
    names = map(ViewKind.CONDITION.view_name, range(config.conditions))
    return [draw_condition(config, name, "grid", rng) for name in names]


def sparse_test_cameras(
    config: RenderConfig, *, conditions: int, azimuth: Literal["grid", "continuous"], rng: np.random.Generator
) -> tuple[list[Camera], list[Camera]]:
    """Draw condition and target cameras of the sparse-view test (sec. 5.2): target t00 has the azimuth of c00.

    Args:
        config: Ranges and target grid.
        conditions: Number of condition views, at least 1; a condition does not depend on how many follow it.
        azimuth: Whether condition azimuths lie on the target columns or anywhere.
        rng: Source of the draws.

    Returns conditions and targets. Raises ValueError when there is no condition.
    """
    if conditions < 1:
        raise ValueError(f"conditions is {conditions}; the targets are aligned to the first, so give at least 1")
    names = map(ViewKind.CONDITION.view_name, range(conditions))
    given = [draw_condition(config, name, azimuth, rng) for name in names]
    return given, target_cameras(config, given[0].azimuth_deg)


def draw_condition(
    config: RenderConfig, name: str, azimuth: Literal["grid", "continuous"], rng: np.random.Generator
) -> Camera:
    """Draw one condition camera. It takes three draws whatever `azimuth` is, so that the next ones stay the same."""
    turn = float(rng.uniform())
    if azimuth == "grid":
        turn = int(turn * config.azimuths) / config.azimuths
    elevation_deg = float(rng.uniform(*config.condition_elevation_deg))
    distance = float(rng.uniform(*config.condition_distance))
    return Camera(name, 360 * turn, elevation_deg, distance, config.fov_deg)


def ring_cameras(*, views: int, elevation_deg: float, fov_deg: float, distance: float) -> list[Camera]:
    """Return one ring of cameras r00.. from azimuth 0 (SyncDreamer's protocol has 16 views at 30 degrees)."""
    return [
        Camera(ViewKind.RING.view_name(index), 360 * index / views, elevation_deg, distance, fov_deg)
        for index in range(views)
    ]


def syncdreamer_cameras() -> list[Camera]:
    """Return the 16 cameras r00.. of SyncDreamer's test: every 22.5 degrees at elevation 30, distance 1.5."""
    return ring_cameras(views=16, elevation_deg=30.0, fov_deg=SYNCDREAMER_FOV_DEG, distance=1.5)
