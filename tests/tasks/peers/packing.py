"""Ground truth in the layout of each system, written by rules of its own: file names, order of tiles and cameras."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from tests.tasks.peers.balls import OBJECTS, SIDE, on_background, photo, save, turned_right, upright

GIVEN_ELEVATION = 30.0
SIDES = ["front", "front_right", "right", "back", "left", "front_left"]
SIDE_TURNS = [0, 45, 90, 180, -90, -45]
Pack = Callable[[Path], None]


@cache
def ring(uid: str) -> list[np.ndarray]:
    """SyncDreamer's 16 views as the test set has them."""
    return [photo(OBJECTS[uid], upright(22.5 * number, GIVEN_ELEVATION)) for number in range(16)]


def pack_syncdreamer(folder: Path) -> None:
    for uid in OBJECTS:
        views = ring(uid)
        save(folder / uid / "0.png", np.concatenate([on_background(view, 255) for view in reversed(views)], axis=1))
        save(folder / uid / "1.png", np.concatenate([on_background(view, 255) for view in views], axis=1))


def pack_numbered(pattern: str, *, with_alpha: bool) -> Pack:
    def pack(folder: Path) -> None:
        for uid in OBJECTS:
            for number, view in enumerate(ring(uid)):
                name = pattern.format(uid=uid, number=number)
                save(folder / name, view if with_alpha else on_background(view, 255))

    return pack


def pack_zero123plus(elevations: tuple[float, float], level: int, fov_deg: float | None) -> Pack:
    def pack(folder: Path) -> None:
        for uid, balls in OBJECTS.items():
            radius = (np.linalg.norm(balls.centres, axis=1) + balls.radii).max()
            lens = {} if fov_deg is None else {"fov_deg": fov_deg, "distance": radius / np.tan(np.radians(fov_deg / 2))}
            views = [photo(balls, upright(30 + 60 * n, elevations[n % 2]), **lens) for n in range(6)]
            rows = [
                np.concatenate([on_background(view, level) for view in views[n : n + 2]], axis=1) for n in (0, 2, 4)
            ]
            save(folder / f"{uid}.png", np.concatenate(rows, axis=0))

    return pack


def pack_wonder3d(folder: Path) -> None:
    front = upright(0, GIVEN_ELEVATION)
    for uid, balls in OBJECTS.items():
        for side, turn in zip(SIDES, SIDE_TURNS, strict=True):
            view = photo(balls, turned_right(front, turn), width=1.7)
            save(folder / uid / "masked_colors" / f"rgb_000_{side}.png", view)


def pack_era3d(folder: Path) -> None:
    for uid, balls in OBJECTS.items():
        for side, turn in zip(SIDES, SIDE_TURNS, strict=True):
            save(folder / uid / f"color_{side}_masked.png", photo(balls, upright(turn, 0), width=1.3))


def pack_quarter_turns(elevation: float) -> Pack:
    def pack(folder: Path) -> None:
        for uid, balls in OBJECTS.items():
            views = [photo(balls, upright(90 * n, elevation), distance=2.6, fov_deg=35) for n in range(4)]
            save(folder / f"{uid}.png", np.concatenate([on_background(view, 255) for view in views], axis=1))

    return pack


def pack_mv_adapter(folder: Path) -> None:
    for uid, balls in OBJECTS.items():
        views = [photo(balls, upright(turn, 0), width=1.2) for turn in (0, 45, 90, 180, 270, 315)]
        save(folder / f"{uid}.png", np.concatenate([on_background(view, 128) for view in views], axis=1))


def pack_eschernet(folder: Path) -> None:
    for uid in OBJECTS:
        views = ring(uid)
        save(folder / uid / "0.png", np.concatenate([on_background(view, 255) for view in views], axis=1))
        for number in range(16):
            axes = upright(22.5 * number, GIVEN_ELEVATION)
            camera_from_world = np.concatenate([axes.T, [[0], [0], [-1.5]]], axis=1)
            np.save(folder / uid / f"{number:03d}.npy", camera_from_world)


def pack_transforms(*, side: int = SIDE, turn: float = 0.0, numbers: range = range(16)) -> Pack:
    def pack(folder: Path) -> None:
        for uid, balls in OBJECTS.items():
            frames = []
            for number in reversed(numbers):
                axes = upright(22.5 * number + turn, GIVEN_ELEVATION)
                save(
                    folder / uid / "samples-rgb" / f"{number:03d}.png",
                    on_background(photo(balls, axes, side=side), 255),
                )
                pose = np.eye(4)
                pose[:3, :3], pose[:3, 3] = axes, 1.5 * axes[:, 2]
                focal = 0.5 * side / np.tan(np.radians(49.13 / 2))
                path = f"./samples-rgb/{number:03d}.png"
                frames.append(
                    {"file_path": path, "transform_matrix": pose.tolist(), "fl_x": focal, "w": side, "h": side}
                )
            (folder / uid / "transforms.json").write_text(json.dumps({"frames": frames}))

    return pack


def pack_panorama(folder: Path) -> None:
    """A smooth room, a function of direction, as eight views that turn to the right."""
    for number in range(8):
        x, y = np.meshgrid(np.arange(SIDE) + 0.5 - SIDE / 2, np.arange(SIDE) + 0.5 - SIDE / 2)
        heading = np.arctan(x / (SIDE / 2)) + np.radians(45 * number)
        height = y / np.hypot(x, SIDE / 2)
        waves = [np.sin(heading), np.sin(2 * heading + height), np.cos(heading - height)]
        save(folder / "room" / f"{number}.png", np.rint(127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8))
