"""Objects in files of many: which come into which, and the facts that each object or view carries along."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from render.cameras import Camera
from tasks.commands.export.cameras import opencv_extrinsics, opencv_intrinsics
from tasks.commands.export.source import Source

OBJECTS_PER_FILE = 64
"""About half a gigabyte with 42 views of 512 px, between what a download and what a shuffled reading want."""


@dataclass(frozen=True)
class Batch:
    """The objects of one file."""

    split: str
    number: int
    """Counted from 0 in the split."""
    num_files: int
    """Of the split."""
    uids: list[str]


def batches(source: Source) -> Iterator[Batch]:
    """Yield all objects in batches; no batch has objects of two splits."""
    for split, uids in source.by_split().items():
        starts = range(0, len(uids), OBJECTS_PER_FILE)
        for number, start in enumerate(starts):
            yield Batch(split, number, len(starts), uids[start : start + OBJECTS_PER_FILE])


def object_facts(source: Source, uid: str) -> dict[str, Any]:
    """Return uid, split, and title and license, which are None where no table of objects was given."""
    known = source.known.get(uid)
    return {
        "uid": uid,
        "split": source.split(uid),
        "title": known.title if known else None,
        "license": known.license if known else None,
    }


def camera_facts(camera: Camera, side: int) -> dict[str, Any]:
    """Return a camera in OpenCV's axes: 3x3 intrinsics in pixels, 4x4 camera from world, and its angles."""
    return {
        "view": camera.name,
        "width": side,
        "height": side,
        "intrinsics": opencv_intrinsics(camera, side).tolist(),
        "extrinsics": opencv_extrinsics(camera).tolist(),
        "azimuth_deg": camera.azimuth_deg,
        "elevation_deg": camera.elevation_deg,
        "distance": camera.distance,
        "fov_deg": camera.fov_deg,
    }
