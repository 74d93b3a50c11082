"""Shards that are sealed while others of their set are not yet, so that the loose items which they hold can go.

The set itself lies in a stage's output, which is removed before the stage is tried again; these lie in its work folder.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tasks.artifacts.atomic import hard_link, read_json, write_json
from tasks.artifacts.manifest import fingerprint
from tasks.artifacts.shard_index import INDEX, ShardIndex
from tasks.artifacts.shards import ShardReader

CONTENTS = "contents.json"
"""Written last: a folder without it does not count."""


@dataclass(frozen=True)
class ReleasedShards:
    """A folder for each shard, named after its name and the keys of its items, with a hard link to it and its index."""

    folder: Path

    def add(self, shard: Path, index: ShardIndex, keys: Mapping[str, str]) -> None:
        """Remember a shard that is on the disk and holds the items `keys` (uid -> key)."""
        place = self._place(shard.name, keys)
        hard_link(shard, place / shard.name)
        index.write(place / INDEX)
        write_json(place / CONTENTS, {"keys": dict(keys), "shard": shard.name, "bytes": shard.stat().st_size})
        self._places.update(dict.fromkeys(keys.items(), place))

    def has(self, uid: str, key: str) -> bool:
        """Whether an item is in one of the shards."""
        return (uid, key) in self._places

    def of(self, uid: str, key: str) -> ShardReader | None:
        """Return a reader of a shard that holds an item."""
        place = self._places.get((uid, key))
        return ShardReader.open(place) if place else None

    def find(self, shard: str, keys: Mapping[str, str]) -> ShardReader | None:
        """Return a reader of the shard of this name that holds exactly the items `keys` (uid -> key)."""
        place = self._place(shard, keys)
        return ShardReader.open(place) if self._places.get(next(iter(keys.items()))) == place else None

    def clear(self) -> None:
        """Forget them, once the whole set is kept elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._places.clear()

    def _place(self, shard: str, keys: Mapping[str, str]) -> Path:
        return self.folder / fingerprint(shard, dict(keys))

    @cached_property
    def _places(self) -> dict[tuple[str, str], Path]:
        """The folder that holds each item, by uid and key; a shard that was cut short does not count."""
        places = {}
        for path in sorted(self.folder.glob(f"*/{CONTENTS}")):
            contents = read_json(path)
            shard = path.parent / contents["shard"]
            if shard.exists() and shard.stat().st_size == contents["bytes"]:
                places.update(dict.fromkeys(contents["keys"].items(), path.parent))
        return places
