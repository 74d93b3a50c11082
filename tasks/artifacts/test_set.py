"""What a test set is, picture by picture: cameras and hashes, by which others check that they have the same one.

`test_set.json` of a sealed set of true views has, per object, each view's camera and the hash of its pixels.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from render.cameras import Camera
from render.images import Rgba, decode_png
from tasks.artifacts.atomic import read_json, write_json
from tasks.artifacts.content import sha256_of
from tasks.artifacts.shards import ShardReader
from tasks.artifacts.views import CAMERAS

TEST_SET = "test_set.json"
RULE = (
    "SHA-256 of '<width>x<height>\\n' and the 8-bit RGBA pixels row by row, straight alpha, RGB 0 where alpha is 0; "
    "of an object: of the hashes of its views, a line each"
)


def true_mesh_path(folder: Path, uid: str) -> Path:
    """Return where the test set `folder` has the true mesh of an object, if there is one."""
    return folder / "meshes" / f"{uid}.ply"


def pixel_hash(image: Rgba) -> str:
    """Return the SHA-256 of an image's pixels, uint8 (H, W, 4), in hex digits.

    It survives another compression of the file and another colour where nothing is seen (alpha 0), and nothing else.
    """
    height, width, _ = image.shape
    seen = np.where(image[..., 3:] > 0, image, 0).astype(np.uint8)
    return hashlib.sha256(f"{width}x{height}\n".encode() + seen.tobytes()).hexdigest()


def write_test_set(folder: Path) -> dict[str, Any]:
    """Write `folder/test_set.json` about the shards in `folder`, which need not be sealed yet; return its objects."""
    reader = ShardReader.open(folder)
    objects = {uid: _describe(reader, uid) for uid in reader.uids}
    write_json(folder / TEST_SET, {"sha256": RULE, "objects": objects})
    return objects


def _describe(reader: ShardReader, uid: str) -> dict[str, Any]:
    views = []
    for row in json.loads(reader.read(uid, CAMERAS))["views"]:
        image = decode_png(reader.read(uid, f"{row['name']}.png"))
        views.append(Camera.from_json(row).as_json() | {"side": image.shape[0], "sha256": pixel_hash(image)})
    lines = "".join(f"{view['sha256']}\n" for view in views)
    return {"sha256": hashlib.sha256(lines.encode()).hexdigest(), "views": views}


def content_hash(folder: Path) -> str:
    """Return a hash of what a sealed test set shows: the pixels of every view and the true meshes, by object.

    Raises ValueError where there is no `test_set.json`, or a file that is none.
    """
    path = folder / TEST_SET
    _views_of(path)
    lines = [f"{row['sha256']}  {uid}\n" for uid, row in sorted(read_json(path)["objects"].items())]
    lines += [f"{sha256_of(mesh)}  {mesh.name}\n" for mesh in sorted((folder / "meshes").glob("*.ply"))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class Comparison:
    """How two test sets agree."""

    equal: int
    """Views that both have with equal pixels from equal cameras."""
    pixels_differ: tuple[str, ...]
    """Views, as object/view, whose pixels are others."""
    cameras_differ: tuple[str, ...]
    """Views whose cameras are others."""
    only_first: tuple[str, ...]
    """Views that the second set lacks."""
    only_second: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether both are one test set."""
        return not (self.pixels_differ or self.cameras_differ or self.only_first or self.only_second)


def compare(first: Path, second: Path) -> Comparison:
    """Compare two test sets: sealed folders, or their `test_set.json` alone.

    Raises ValueError where there is no `test_set.json`, or a file that is none.
    """
    one, other = _views_of(first), _views_of(second)
    both = [name for name in one if name in other]
    pixels = tuple(name for name in both if one[name]["sha256"] != other[name]["sha256"])
    cameras = tuple(name for name in both if not _is_same_camera(one[name], other[name]))
    return Comparison(
        equal=len(set(both) - {*pixels, *cameras}),
        pixels_differ=pixels,
        cameras_differ=cameras,
        only_first=tuple(name for name in one if name not in other),
        only_second=tuple(name for name in other if name not in one),
    )


def _views_of(place: Path) -> dict[str, Mapping[str, Any]]:
    path = place / TEST_SET if place.is_dir() else place
    if not path.exists():
        raise ValueError(f"{path} does not exist; a test set is data/test_views, data/gso_eval or a {TEST_SET} of one")
    try:
        objects = read_json(path)["objects"]
        return {f"{uid}/{view['name']}": view for uid, row in objects.items() for view in row["views"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no {TEST_SET}: {error}") from error


def _is_same_camera(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    is_same_pose = np.allclose(one["world_from_camera"], other["world_from_camera"], atol=1e-6)
    return bool(is_same_pose and abs(one["fov_deg"] - other["fov_deg"]) < 1e-6)
