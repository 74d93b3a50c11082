"""The layout of SyncDreamer's training data: 16 targets of fixed cameras, and an input at the azimuth of each.

Told from liuyuan-pal/SyncDreamer ldm/data/sync_dreamer.py and blender_script.py.
"""

import pickle  # the layout has pickles; they are written here and never read
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from render.cameras import Camera
from render.views import SYNCDREAMER_FOV_DEG, syncdreamer_cameras
from tasks.artifacts.atomic import write_bytes
from tasks.commands.export.cameras import one_fov_deg, opencv_extrinsics, opencv_intrinsics
from tasks.commands.export.pieces import write_folders
from tasks.commands.export.source import Source

TOLERANCE_DEG = 0.01
"""Within which a camera is one of the layout's: a thirtieth of a pixel at 256 px."""
TOLERANCE = 1e-4
"""The same, of a camera's distance."""


def write_syncdreamer(source: Source, out: Path) -> Iterator[str]:
    """Write `target/<uid>/`, `input/<uid>/` and `uid_set.pkl`; yield each object that is written.

    Both have `000.png` to `015.png` (RGBA), one every 22.5 degrees; `input` also `meta.pkl` with a list of intrinsics
    (3, 3), azimuths, elevations (radians), distances (16,) and poses (16, 3, 4), camera from world in OpenCV axes.
    `uid_set.pkl` lists the objects to train on, `uid_set_val.pkl` those that were held out.
    """
    targets = write_folders(source, out / "target", _write_targets)
    inputs = write_folders(source, out / "input", _write_inputs)
    for uid, _ in zip(targets, inputs, strict=True):
        yield uid
    seen, held_out = source.seen_and_held_out()
    _write_pickle(out / "uid_set.pkl", seen)
    _write_pickle(out / "uid_set_val.pkl", held_out)


def syncdreamer_settings(source: Source) -> str:
    """Return what the training's configuration has to say of the data.

    Raises ValueError when an object lacks one of the layout's targets, or an input beside one.
    """
    for uid in source.uids:
        one_fov_deg(uid, choose_inputs(uid, source.cameras(uid)))
    return "target_dir: target, input_dir: input, uid_set_pkl: uid_set.pkl"


def choose_targets(uid: str, cameras: Sequence[Camera]) -> list[Camera]:
    """Return the 16 views that SyncDreamer generates: elevation 30 degrees, from azimuth 0 on, distance 1.5.

    Raises ValueError when one is missing.
    """
    chosen = []
    for wanted in syncdreamer_cameras():
        match = next((camera for camera in cameras if _is_same(camera, wanted)), None)
        if match is None:
            raise ValueError(
                f"{uid} has no view at azimuth {wanted.azimuth_deg:g}, elevation 30, distance 1.5 and field of view "
                f"{SYNCDREAMER_FOV_DEG:.2f} deg; SyncDreamer's targets are 16 such views: render with "
                "render.azimuths 16, render.elevations_deg [30, 0], render.distance 1.5 and render.fov_deg "
                f"{SYNCDREAMER_FOV_DEG:.2f}"
            )
        chosen.append(match)
    return chosen


def choose_inputs(uid: str, cameras: Sequence[Camera]) -> list[Camera]:
    """Return an input for each target: the first other view at its azimuth, condition views before targets.

    Raises ValueError when a target has no other view at its azimuth.
    """
    targets = choose_targets(uid, cameras)
    others = sorted((camera for camera in cameras if camera not in targets), key=lambda camera: camera.name[0])
    chosen = []
    for target in targets:
        match = next((camera for camera in others if _has_azimuth(camera, target)), None)
        if match is None:
            raise ValueError(
                f"{uid} has no view at azimuth {target.azimuth_deg:g} beside {target.name}; SyncDreamer's inputs stand "
                "at the azimuth of each target: render with a second row, such as render.elevations_deg [30, 0]"
            )
        chosen.append(match)
    return chosen


def _write_targets(source: Source, uid: str, folder: Path) -> None:
    for number, file in enumerate(source.files(uid, choose_targets(uid, source.cameras(uid)))):
        write_bytes(folder / f"{number:03d}.png", file.png)


def _write_inputs(source: Source, uid: str, folder: Path) -> None:
    cameras = choose_inputs(uid, source.cameras(uid))
    files = list(source.files(uid, cameras))
    for number, file in enumerate(files):
        write_bytes(folder / f"{number:03d}.png", file.png)
    angles = np.radians([[camera.azimuth_deg, camera.elevation_deg] for camera in cameras])
    distances = np.array([camera.distance for camera in cameras])
    poses = np.stack([opencv_extrinsics(camera)[:3] for camera in cameras])
    intrinsics = opencv_intrinsics(cameras[0], files[0].side).astype(np.float32)
    _write_pickle(folder / "meta.pkl", [intrinsics, angles[:, 0], angles[:, 1], distances, poses])


def _write_pickle(path: Path, content: Any) -> None:
    write_bytes(path, pickle.dumps(content, protocol=4))


def _has_azimuth(camera: Camera, wanted: Camera) -> bool:
    return abs((camera.azimuth_deg - wanted.azimuth_deg + 180) % 360 - 180) < TOLERANCE_DEG


def _is_same(camera: Camera, wanted: Camera) -> bool:
    return (
        _has_azimuth(camera, wanted)
        and abs(camera.elevation_deg - wanted.elevation_deg) < TOLERANCE_DEG
        and abs(camera.fov_deg - wanted.fov_deg) < TOLERANCE_DEG
        and abs(camera.distance - wanted.distance) < TOLERANCE
    )
