"""Which cameras make up a view set (sec. 4.1 and 5.1). Rows are elevations, columns are azimuths."""

from typing import Literal

import numpy as np

from render.cameras import Camera
from render.config import RenderConfig


def target_cameras(config: RenderConfig, first_azimuth_deg: float = 0.0) -> list[Camera]:
    """Targets t00.. in row-major order: elevations outer, azimuths inner, evenly spaced from `first_azimuth_deg`."""
    angles = [
        ((first_azimuth_deg + 360 * column / config.azimuths) % 360, elevation_deg)
        for elevation_deg in config.elevations_deg
        for column in range(config.azimuths)
    ]
    return [
        Camera(f"t{index:02d}", azimuth_deg, elevation_deg, config.distance, config.fov_deg)
        for index, (azimuth_deg, elevation_deg) in enumerate(angles)
    ]


def condition_cameras(config: RenderConfig, rng: np.random.Generator) -> list[Camera]:
    """The condition views c00.. of training: azimuth on a target column, elevation and distance uniform (sec. 5.1)."""
    return [draw_condition(config, f"c{index:02d}", "grid", rng) for index in range(config.conditions)]


def sparse_test_cameras(
    config: RenderConfig, *, conditions: int, azimuth: Literal["grid", "continuous"], rng: np.random.Generator
) -> tuple[list[Camera], list[Camera]]:
    """Conditions and targets of the sparse-view test (sec. 5.2), aligned: target t00 has the azimuth of condition c00.

    A condition does not depend on how many follow it.
    """
    if conditions < 1:
        raise ValueError(f"conditions is {conditions}; the targets are aligned to the first, so give at least 1")
    given = [draw_condition(config, f"c{index:02d}", azimuth, rng) for index in range(conditions)]
    return given, target_cameras(config, given[0].azimuth_deg)


def draw_condition(
    config: RenderConfig, name: str, azimuth: Literal["grid", "continuous"], rng: np.random.Generator
) -> Camera:
    """One condition view; always three draws, so that views drawn one after another do not disturb each other."""
    turn = float(rng.uniform())
    if azimuth == "grid":
        turn = int(turn * config.azimuths) / config.azimuths
    elevation_deg = float(rng.uniform(*config.condition_elevation_deg))
    distance = float(rng.uniform(*config.condition_distance))
    return Camera(name, 360 * turn, elevation_deg, distance, config.fov_deg)


def ring_cameras(*, views: int, elevation_deg: float, fov_deg: float, distance: float) -> list[Camera]:
    """One ring r00.. from azimuth 0 (SyncDreamer's single-view protocol: 16 views at 30 degrees)."""
    return [Camera(f"r{index:02d}", 360 * index / views, elevation_deg, distance, fov_deg) for index in range(views)]
