"""Readers of pictures whose cameras follow from their place in a grid, their number or their name.

What each system writes is said, with its source, in its row of layouts.py.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from tasks.peers.cameras import PeerCamera, pinhole, tilted_orthographic, upright_orthographic, upright_ring
from tasks.peers.layout import PeerView, Reader, Request
from tasks.peers.pictures import read_square, read_tiles, with_mask

Cameras = Callable[[Request], list[PeerCamera]]
"""The cameras of all views of an object, in the order of the pictures."""
SIDES: Mapping[str, float] = {"front": 0, "front_right": 45, "right": 90, "back": 180, "left": -90, "front_left": -45}
"""Turn in degrees from the given view, of the six views of Wonder3D and Era3D (xxlong0/Wonder3D README, issue 9)."""
NOMINAL_FOV_DEG = 40.0
"""For systems trained on random fields of view: the middle of MVDream's 15 to 60 (bytedance/MVDream issue 12)."""


def tiles(rows: int, columns: int, cameras: Cameras, *patterns: str) -> Reader:
    """Return a reader of one picture that holds all views in rows x columns square tiles."""

    def read(request: Request) -> list[PeerView]:
        pictures = read_tiles(request.file(*patterns), rows, columns)
        return [PeerView(camera, with_mask(tile)) for camera, tile in zip(cameras(request), pictures, strict=True)]

    return read


def numbered(cameras: Cameras, *patterns: str) -> Reader:
    """Return a reader of one picture per view, whose patterns contain {number} or {name}: that of the true view."""

    def read(request: Request) -> list[PeerView]:
        names = [camera.name for camera in request.scored]
        views = []
        for number, camera in enumerate(cameras(request)):
            name = names[number] if number < len(names) else ""
            path = request.file(*patterns, number=number, name=name)
            views.append(PeerView(camera, with_mask(read_square(path))))
        return views

    return read


def strip_or_numbered(count: int, cameras: Cameras, strip: str, *patterns: str) -> Reader:
    """Return a reader of a strip of `count` views or, where there is no strip, of numbered pictures."""
    one_by_one, at_once = numbered(cameras, *patterns), tiles(1, count, cameras, strip)

    def read(request: Request) -> list[PeerView]:
        single = request.folder / patterns[0].format(uid=request.uid, sample=request.sample, number=0, name="")
        return one_by_one(request) if single.is_file() else at_once(request)

    return read


def named(cameras: Cameras, *patterns: str) -> Reader:
    """Return a reader of six pictures whose patterns contain {side}: a name of SIDES."""

    def read(request: Request) -> list[PeerView]:
        pairs = zip(SIDES, cameras(request), strict=True)
        return [PeerView(camera, with_mask(read_square(request.file(*patterns, side=side)))) for side, camera in pairs]

    return read


def scored_cameras(request: Request) -> list[PeerCamera]:
    """Return the cameras that the test set scores: the system was asked for just these views."""
    return [pinhole(camera) for camera in request.scored]


def level_ring(count: int) -> Cameras:
    """Views of equal elevation, distance and field of view around the object, the given one first."""

    def cameras(request: Request) -> list[PeerCamera]:
        given = request.given
        turns = [360 * number / count for number in range(count)]
        elevations = [given.elevation_deg] * count
        return upright_ring(given, turns, elevations, distance=given.distance, fov_deg=given.fov_deg)

    return cameras


def zero123plus(elevations_deg: Sequence[float], fov_deg: float | None) -> Cameras:
    """Six views at 30, 90, ... 330 degrees from the given one, of alternating elevations.

    With a field of view of its own the object fills it as a sphere of radius one half at the distance
    0.5 / tan(fov / 2) would (v1.2; SUDO-AI-3D/zero123plus issue 73). None: distance and field of the given view (v1.1).
    """
    turns = [30.0 + 60 * number for number in range(6)]
    elevations = [elevations_deg[number % 2] for number in range(6)]

    def cameras(request: Request) -> list[PeerCamera]:
        given = request.given
        if fov_deg is None:
            return upright_ring(given, turns, elevations, distance=given.distance, fov_deg=given.fov_deg)
        radius = 0.5 if request.radius is None else request.radius
        return upright_ring(given, turns, elevations, distance=radius * _fitting(fov_deg), fov_deg=fov_deg)

    return cameras


def quarter_turns(elevation_deg: float) -> Cameras:
    """Four views at quarter turns to the right, the first at the given view's azimuth."""

    def cameras(request: Request) -> list[PeerCamera]:
        distance = 0.75 * _fitting(NOMINAL_FOV_DEG)  # its scale is fitted, so any distance serves
        turns = [0.0, 90.0, 180.0, 270.0]
        return upright_ring(request.given, turns, [elevation_deg] * 4, distance=distance, fov_deg=NOMINAL_FOV_DEG)

    return cameras


def six_sides(width: float, *, is_tilted: bool) -> Cameras:
    """The views of SIDES by orthographic cameras, about the up axis of the given view's camera or of the world."""
    build = tilted_orthographic if is_tilted else upright_orthographic
    return lambda request: build(request.given, list(SIDES.values()), width)


def level_orthographic(turns_deg: Sequence[float], width: float) -> Cameras:
    """Orthographic views on the horizon, at turns from the given view."""
    return lambda request: upright_orthographic(request.given, turns_deg, width)


def _fitting(fov_deg: float) -> float:
    """Distance at which a radius of one fills half the image."""
    return 1 / math.tan(math.radians(fov_deg) / 2)
