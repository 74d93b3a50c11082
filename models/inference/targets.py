"""Target views and their cameras: a grid of elevations (rows) and azimuths (columns) (sec. 4.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TargetCamera:
    """The camera of a target view; it looks at the object's centre, Z up."""

    azimuth_deg: float
    """Counted from the azimuth of the first condition image, counterclockwise seen from above."""
    elevation_deg: float
    """Above the horizon."""
    distance: float
    """From the object's centre, in units of its longest side."""
    fov_deg: float
    """Full field of view, the same along both sides."""


def cameras_of(geometry: Mapping[str, Any], target_ids: Sequence[int]) -> list[TargetCamera]:
    """Compute the cameras of targets.

    Args:
        geometry: The cameras of a model (`MultiViewUNet.config.geometry`).
        target_ids: Ids of targets, ordered elevation-major, azimuth-minor.
    """
    columns = geometry["azimuths"]
    return [
        TargetCamera(
            azimuth_deg=360 * (target % columns) / columns,
            elevation_deg=float(geometry["elevations_deg"][target // columns]),
            distance=float(geometry["distance"]),
            fov_deg=float(geometry["fov_deg"]),
        )
        for target in target_ids
    ]


def choose_targets(
    geometry: Mapping[str, Any],
    num_targets: int,
    target_ids: Sequence[int] | None,
    elevations_deg: Sequence[float] | None,
) -> list[int]:
    """Resolve which targets are asked for: by id, or all of some elevations, or all.

    Args:
        geometry: The cameras of a model (`MultiViewUNet.config.geometry`).
        num_targets: How many targets the model has.
        target_ids: Ids of targets; None: not given.
        elevations_deg: Elevations whose targets are all wanted, in degrees; None: not given.

    Returns:
        Ids of targets, in the order of `target_ids` or ascending.

    Raises:
        ValueError: Both are given, or the model does not have one of them.
    """
    if elevations_deg is None:
        targets = list(range(num_targets)) if target_ids is None else list(target_ids)
        if not targets or len(set(targets)) < len(targets) or not set(targets) <= set(range(num_targets)):
            raise ValueError(f"target_ids is {targets}; it must hold different numbers from 0 to {num_targets - 1}")
        return targets
    if target_ids is not None:
        raise ValueError("give target_ids or elevations_deg, not both")
    rows = [float(row) for row in geometry["elevations_deg"]]
    unknown = sorted(set(map(float, elevations_deg)) - set(rows))
    if unknown or not elevations_deg:
        raise ValueError(f"elevations_deg is {list(elevations_deg)}; the model knows {rows}")
    columns = geometry["azimuths"]
    return [
        row * columns + column
        for row, elevation in enumerate(rows)
        if elevation in elevations_deg
        for column in range(columns)
    ]
