"""Posed RGBA views of many objects: what rendering makes, sampling makes and training, encoding and evaluation read."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.reconstruction.views import Cameras, Views
from render.cameras import Camera
from render.images import UNREADABLE, contact_sheet, decode_png, encode_png
from render.passes import Floats, View, decode_depth, decode_normal, view_files
from render.resample import resample
from render.views import ViewKind
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.manifest import LEDGER, MANIFEST, Kind, Manifest, iterate_ledger, open_manifest
from tasks.artifacts.shard_index import INDEX, OLD_INDEX, ShardIndex
from tasks.artifacts.shards import Layout, Members, ShardReader, seal_shards, write_item
from tasks.outcome import Done

CAMERAS = "cameras.json"
MESH = "mesh.ply"
"""Name of the mesh in an object's item, where it has one beside its views."""
MAX_SHEETS = 64
"""Contact sheets per view set; more would only be weight."""
Image = npt.NDArray[np.uint8]


def write_views(
    path: Path,
    cameras: Sequence[Camera],
    views: Sequence[View],
    facts: Mapping[str, Any],
    others: Mapping[str, bytes] | None = None,
) -> None:
    """Write one object's views as an item tar.

    Args:
        path: The tar.
        cameras: One for each view, in the order that readers will see.
        views: What the cameras saw.
        facts: Kept in `cameras.json` beside the cameras.
        others: Any other files of the item, by name.
    """
    members = view_files(cameras, views)
    table = {"views": [camera.as_json() for camera in cameras], **facts}
    members[CAMERAS] = json.dumps(table, indent=1, sort_keys=True).encode()
    write_item(path, members | dict(others or {}))


def seal_views(
    items: Mapping[str, Callable[[], Members]],
    layout: Layout,
    out: Path,
    unchanged: Mapping[str, ShardReader] | None = None,
    release: Callable[[Path, ShardIndex], None] | None = None,
) -> None:
    """Merge items into shards as `seal_shards` does, and draw contact sheets of the first objects."""
    seal_shards(items, layout, out, unchanged, release)
    for uid in sorted(items)[:MAX_SHEETS]:
        write_bytes(out / "sheets" / f"{uid}.png", encode_png(sheet_of(items[uid]())))


def sheet_of(members: Members) -> Image:
    """Arrange all views of an item on one sheet, at the size of the smallest, targets first, one row per elevation."""
    views = [Camera.from_json(row) for row in json.loads(members[CAMERAS])["views"]]
    azimuths = {round(view.azimuth_deg, 3) for view in views if view.name.startswith(ViewKind.TARGET)}
    images = [decode_png(members[f"{view.name}.png"]) for view in views]
    side = min(len(image) for image in images)
    return contact_sheet([resample(image, side) for image in images], columns=len(azimuths) or 8)


@dataclass(frozen=True)
class ViewSet:
    """A sealed folder of posed RGBA views of many objects, of which only the views that are asked for are read.

    Open it with `ViewSet.open(folder)`. An object is named by its uid, a view by its camera's name, e.g. t07.
    """

    manifest: Manifest
    reader: ShardReader

    @classmethod
    def open(cls, folder: Path) -> "ViewSet":
        """Open a folder of views.

        Raises ValueError when it is not a sealed set of views.
        """
        return cls(open_manifest(folder, Kind.VIEWS), ShardReader.open(folder))

    def only(self, uids: Sequence[str]) -> "ViewSet":
        """Return the set of some of the objects, which pickles small."""
        return ViewSet(self.manifest, self.reader.only(uids))

    @property
    def uids(self) -> list[str]:
        """Names of all objects, sorted."""
        return self.reader.uids

    def facts(self, name: str) -> dict[str, Any]:
        """Read what the ledger says of each object under one name, e.g. its split; objects without it are left out."""
        found: dict[str, Any] = {}
        for row in iterate_ledger(self.reader.folder):
            if isinstance(row, Done) and name in row.facts and row.uid in self.reader:
                value = row.facts[name]
                found[row.uid] = sys.intern(value) if isinstance(value, str) else value
        return found

    @property
    def shards(self) -> list[Path]:
        """The files that the objects' views lie in, sorted."""
        return list(self.by_shard())

    def by_shard(self) -> dict[Path, list[str]]:
        """Return the objects of each file that their views lie in; both are sorted."""
        members: dict[Path, list[str]] = {}
        for uid in self.uids:
            members.setdefault(self.reader.shard(uid), []).append(uid)
        return dict(sorted(members.items()))

    def names(self, uid: str, kind: ViewKind | None = None) -> list[str]:
        """Return the names of an object's views, or of those of one kind, in the order of the cameras."""
        return [camera.name for camera in self.cameras(uid, kind)]

    def image_names(self, uid: str) -> list[str]:
        """Return the names of an object's views, sorted, without reading its cameras."""
        files = (name.removesuffix(".png") for name in self.reader.names(uid) if name.endswith(".png"))
        return [name for name in files if "." not in name]  # else a depth or normal map

    def image(self, uid: str, view: str) -> Image:
        """Read one view: RGBA, uint8 (H, W, 4), straight alpha, sRGB.

        Raises KeyError for an object or view that there is none of, ValueError for a truncated or damaged shard.
        """
        return self.file(uid, view)[1]

    def file(self, uid: str, view: str) -> tuple[bytes, Image]:
        """Read one view as the PNG file that it is, and decoded.

        Raises as `image` does.
        """
        content = self.reader.read(uid, f"{view}.png")
        try:
            return content, decode_png(content)
        except UNREADABLE as error:
            raise ValueError(
                f"{self.reader.shard(uid)} is damaged: {uid}.{view}.png cannot be decoded ({error}); "
                "restore it with `dvc checkout`"
            ) from error

    def images(self, uid: str, views: Sequence[str]) -> Image:
        """Read several views: uint8 (V, H, W, 4), in the order of `views`."""
        return np.stack([self.image(uid, view) for view in views])

    def depth(self, uid: str, view: str) -> Floats:
        """Read a depth map: float32 (H, W), distance from the camera's plane in world units, at most 6.5535.

        It is 0 where there is no surface.

        Raises ValueError when the views were made without it.
        """
        return decode_depth(self._pass(uid, view, "depth"))

    def normal(self, uid: str, view: str) -> Floats:
        """Read a normal map: float32 (H, W, 3), unit vectors in world space; 0 where there is no surface.

        Raises ValueError when the views were made without it.
        """
        return decode_normal(self._pass(uid, view, "normal"))

    def _pass(self, uid: str, view: str, kind: str) -> bytes:
        name = f"{view}.{kind}.png"
        if name not in self.reader.names(uid):
            raise ValueError(f"{uid} has no {name}; render with passes [{kind}] (render.passes)")
        return self.reader.read(uid, name)

    def cameras(self, uid: str, kind: ViewKind | None = None) -> list[Camera]:
        """Return the cameras of an object, or of its views of one kind, in the order in which they were rendered."""
        cameras = [Camera.from_json(row) for row in self.table(uid)["views"]]
        return cameras if kind is None else of_kind(cameras, kind)

    def table(self, uid: str) -> dict[str, Any]:
        """Read the whole `cameras.json` of an object."""
        table: dict[str, Any] = json.loads(self.reader.read(uid, CAMERAS))
        return table


def files_of_object(folder: Path, uid: str) -> list[Path]:
    """Return the files of a sealed set of views that somebody needs who opens it and reads the views of one object.

    Raises ValueError when it is not sealed.
    """
    reader = _reader(folder, _sealed_ns(folder))
    index = [folder / name for name in (INDEX, OLD_INDEX) if (folder / name).exists()]
    return [folder / MANIFEST, folder / LEDGER, *index, *([reader.shard(uid)] if uid in reader else [])]


@lru_cache(maxsize=64)
def _reader(folder: Path, _sealed: int) -> ShardReader:
    """Open the shards, once for all jobs of a stage."""
    return ShardReader.open(folder)


def _sealed_ns(folder: Path) -> int:
    """Return when the set was sealed, in ns; 0 where it was not."""
    return (folder / MANIFEST).stat().st_mtime_ns if (folder / MANIFEST).exists() else 0


def of_kind(cameras: Sequence[Camera], kind: ViewKind) -> list[Camera]:
    """Return the cameras whose views are of one kind, in their order."""
    return [camera for camera in cameras if camera.name.startswith(kind)]


def target_views(views: ViewSet, uid: str, *, with_normals: bool = False) -> Views:
    """Return the target views of an object as arrays in [0, 1] with their cameras.

    Raises ValueError when normals are wanted and the views were made without them.
    """
    return posed_views(views, uid, views.names(uid, ViewKind.TARGET), with_normals=with_normals)


def posed_views(views: ViewSet, uid: str, names: Sequence[str], *, with_normals: bool = False) -> Views:
    """Return some views of an object, in the order of `names`, as arrays in [0, 1] with their cameras.

    Raises ValueError when normals are wanted and the views were made without them.
    """
    images = views.images(uid, names).astype(np.float32) / 255
    normals = np.stack([views.normal(uid, name) for name in names]) if with_normals else None
    camera_named = {camera.name: camera for camera in views.cameras(uid)}
    cameras = as_cameras([camera_named[name] for name in names], images.shape[1])
    return Views(images, cameras.world_from_camera, cameras.fov_deg, normals)


def as_cameras(cameras: Sequence[Camera], side: int) -> Cameras:
    """Return the poses and fields of view of cameras as arrays, for images of `side` pixels."""
    poses = np.stack([camera.world_from_camera for camera in cameras])
    return Cameras(poses, np.array([camera.fov_deg for camera in cameras], dtype=np.float64), side)
