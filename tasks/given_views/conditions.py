"""Chooses condition views among those that an object brings along."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render.cameras import Camera
from render.config import RenderConfig
from render.images import Rgba
from render.passes import View
from render.resample import resample
from render.shape import Part
from render.target_grid import COLUMN_TOLERANCE
from render.views import ViewKind
from tasks.given_views.archive import GivenView, read_given_views
from tasks.given_views.frames import find_frame

PROBES = 4
"""Views by which the frame is found."""


@dataclass(frozen=True)
class GivenConditions:
    """Condition views of an object that others have rendered."""

    cameras: tuple[Camera, ...] = ()
    views: tuple[View, ...] = ()
    note: str = ""
    """Why there are none, or fewer than asked for."""


def given_conditions(archive: Path, part: Part, config: RenderConfig, rng: np.random.Generator) -> GivenConditions:
    """Return up to `config.conditions` views c00.. that could be condition views of this project.

    Those are upright, look at the centre from an elevation in `config.condition_elevation_deg`, and stand nearly on a
    target column (render.target_grid). Their field of view and distance are their own.

    Args:
        archive: The views (tasks.given_views.archive).
        part: The placed object, by which axes and size are recognised.
        config: Resolution, ranges and number.
        rng: Draws which ones.
    """
    try:
        views = read_given_views(archive)
    except ValueError as error:
        return GivenConditions(note=str(error))
    order = [views[index] for index in rng.permutation(len(views))]
    probes: list[tuple[GivenView, Rgba]] = []
    for view in order:
        if len(probes) < PROBES and (rgba := _decoded(view)) is not None and rgba[..., 3].any():
            probes.append((view, rgba))
    frame = find_frame(probes, part)
    if frame is None:
        return GivenConditions(
            note=f"the object lies on the masks of its {len(views)} views in no known frame, or in several"
        )
    cameras: list[Camera] = []
    chosen: list[View] = []
    for view in order:
        camera = frame.camera(view, ViewKind.CONDITION.view_name(len(cameras)))
        if len(cameras) == config.conditions or camera is None or not _is_wanted(camera, config):
            continue
        if (rgba := _decoded(view)) is not None:
            cameras.append(camera)
            chosen.append(View(resample(rgba, config.resolution)))
    missing = config.conditions - len(cameras)
    note = f"{len(cameras)} of {len(views)} views can be condition views" if missing else ""
    return GivenConditions(tuple(cameras), tuple(chosen), note)


def _decoded(view: GivenView) -> Rgba | None:
    try:
        return view.rgba()
    except ValueError:
        return None


def _is_wanted(camera: Camera, config: RenderConfig) -> bool:
    low, high = config.condition_elevation_deg
    steps = camera.azimuth_deg * config.azimuths / 360
    return low <= camera.elevation_deg <= high and abs(steps - round(steps)) <= COLUMN_TOLERANCE
