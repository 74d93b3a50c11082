"""A folder laid out like Objaverse's hub, for tests to serve."""

import gzip
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.config import CatalogConfig

CATALOG: dict[str, Any] = {
    "recipe": 1,
    "source": "objaverse",
    "folder": "",
    "include": ["*"],
    "max_objects": None,
    "scores": None,
}


def catalog_config(**changes: Any) -> CatalogConfig:
    return CatalogConfig.model_validate(CATALOG | changes)


def glb(text: str = "", document: Mapping[str, Any] | None = None) -> bytes:
    """A GLB file that is formally right and shows nothing; `text` makes it unlike others."""
    chunk = json.dumps(document or {"asset": {"version": "2.0", "generator": text}}).encode()
    chunk += b" " * (-len(chunk) % 4)
    return struct.pack("<4sII", b"glTF", 2, 20 + len(chunk)) + struct.pack("<I4s", len(chunk), b"JSON") + chunk


def hub_path(uid: str) -> str:
    """Where `uid` lies; two objects per folder of the hub."""
    return f"glbs/000-{int(uid[-2:]) // 2:03d}/{uid}.glb"


def lay_out_hub(folder: Path, objects: Mapping[str, bytes]) -> None:
    """Write index, notes and objects; uids end in two digits. The last object has no metadata; the first is a mug."""
    paths = {uid: hub_path(uid) for uid in objects}
    _write_gzip(folder / "object-paths.json.gz", paths)
    _write_gzip(folder / "lvis-annotations.json.gz", {"mug": [min(objects)]})
    for name in {path.split("/")[1] for path in paths.values()}:
        inside = [uid for uid in objects if paths[uid].split("/")[1] == name and uid != max(objects)]
        notes = {uid: annotation(uid) for uid in inside}
        _write_gzip(folder / "metadata" / f"{name}.json.gz", notes)
    for uid, content in objects.items():
        (folder / paths[uid]).parent.mkdir(parents=True, exist_ok=True)
        (folder / paths[uid]).write_bytes(content)


def annotation(uid: str) -> dict[str, Any]:
    """What the hub says of an object: the fields of a real annotation that are read, and some that are not."""
    return {
        "uid": uid,
        "name": f"Thing\n {uid}",
        "license": "by",
        "tags": [{"name": "old", "slug": "old"}, {"name": uid, "slug": uid}],
        "categories": [{"name": "furniture-home"}],
        "user": {"username": "somebody", "account": "basic"},
        "viewCount": 1000,
        "likeCount": 10,
        "faceCount": 1200,
        "vertexCount": 700,
        "animationCount": 0,
        "publishedAt": "2021-04-20T12:34:56.123456",
        "isAgeRestricted": False,
        "thumbnails": {"images": [{"url": f"https://x.org/{side}.jpeg", "width": side} for side in (64, 1920, 256)]},
        "archives": {"glb": {"size": 5000, "faceCount": 1234, "vertexCount": None}, "source": {"size": 9}},
    }


def _write_gzip(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))
