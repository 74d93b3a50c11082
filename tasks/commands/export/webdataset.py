"""WebDataset tars, one sample an object, with an index per split in the form of wids.

Told from webdataset/webdataset: `base_plus_ext` (a name is split at its first dot) and wids' `wids-shard-index-v1`.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tasks.artifacts.atomic import atomic_file, write_json
from tasks.artifacts.content import sha256_of
from tasks.commands.export.batches import Batch, batches, camera_facts, object_facts
from tasks.commands.export.source import Source


def write_webdataset(source: Source, out: Path) -> Iterator[str]:
    """Write `<split>-000000.tar`, .. and `shards-<split>.json`; yield each object that is written.

    A sample's key is the uid. Its fields are `json` (uid, split, title, license), and for each view, such as t00,
    `t00.png` (RGBA) and `t00.json`: intrinsics 3x3 in pixels, extrinsics 4x4, camera from world in OpenCV axes.
    """
    shards: dict[str, list[dict[str, object]]] = {}
    for batch in batches(source):
        path = out / f"{batch.split}-{batch.number:06d}.tar"
        if not path.exists():
            _write_shard(source, batch, path)
        size, sha256 = path.stat().st_size, sha256_of(path)
        row = {"url": path.name, "nsamples": len(batch.uids), "filesize": size, "sha256": sha256}
        shards.setdefault(batch.split, []).append(row)
        yield from batch.uids
    for split, rows in shards.items():
        index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": split, "shardlist": rows}
        write_json(out / f"shards-{split}.json", index)


def webdataset_settings(source: Source) -> str:
    """Return the patterns of the shards, as the library takes them."""
    last = {batch.split: batch.number for batch in batches(source)}
    return ", ".join(f"{split}-{{000000..{number:06d}}}.tar" for split, number in last.items())


def _write_shard(source: Source, batch: Batch, path: Path) -> None:
    with atomic_file(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for uid in batch.uids:
            _add(tar, f"{uid}.json", json.dumps(object_facts(source, uid)).encode())
            for file in source.files(uid, source.cameras(uid)):
                name = f"{uid}.{file.camera.name}"
                _add(tar, f"{name}.png", file.png)
                _add(tar, f"{name}.json", json.dumps(camera_facts(file.camera, file.side)).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
