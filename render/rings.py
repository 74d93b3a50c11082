"""Rings of cameras: where in them each camera of a set stands, whatever the set's layout."""

from collections.abc import Sequence

from render.cameras import Camera

TOLERANCE_DEG = 1e-3


def ring_places(cameras: Sequence[Camera]) -> list[tuple[int, int]] | None:
    """Say where in its ring each camera stands.

    A ring is all cameras of one elevation, distance and field of view. Turning an object about the vertical axis by
    one step of its rings is, as far as pictures go, the same as moving each camera to its neighbour's place.

    Args:
        cameras: Cameras of one object in any order.

    Returns:
        (ring, place) of each camera: rings in the order of their first camera, places counted from it with the
        azimuth. None where turns are not defined: azimuths are not evenly spaced around the object, rings have
        different numbers of cameras, or there is one camera in each.
    """
    rings: dict[tuple[float, float, float], list[Camera]] = {}
    for camera in cameras:
        key = (round(camera.elevation_deg, 3), round(camera.distance, 4), round(camera.fov_deg, 3))
        rings.setdefault(key, []).append(camera)
    sizes = {len(members) for members in rings.values()}
    if len(sizes) != 1 or sizes == {1}:
        return None
    place_of: dict[str, tuple[int, int]] = {}
    for number, members in enumerate(rings.values()):
        step_deg = 360 / len(members)
        turns = [(camera.azimuth_deg - members[0].azimuth_deg) / step_deg for camera in members]
        places = [round(turn) % len(members) for turn in turns]
        is_even = all(abs(turn - round(turn)) * step_deg < TOLERANCE_DEG for turn in turns)
        if not is_even or sorted(places) != list(range(len(members))):
            return None
        place_of |= {camera.name: (number, place) for camera, place in zip(members, places, strict=True)}
    return [place_of[camera.name] for camera in cameras]
