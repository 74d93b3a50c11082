"""WebDataset tar shards with stable membership: an object stays in the shard it once came into.

Adding objects therefore fills the last shard and writes new ones; DVC hashes thousands of files instead of millions.
Reading needs no unpacking: `index.json` holds the offset and size of every member.
"""

import io
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.artifacts.atomic import atomic_file, read_json, write_json
from tasks.artifacts.randomness import share_of

INDEX = "index.json"
OBJECTS_PER_SHARD = 64
"""For sets of test objects, which are small; the shards of a data set have the size that its configuration says."""
Members = Mapping[str, bytes]


def write_item(path: Path, members: Members) -> None:
    """Write one object's files as a small tar, whole or not at all; equal members give equal bytes."""
    with atomic_file(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(members):
            _add(tar, name, members[name])


def read_item(path: Path) -> dict[str, bytes]:
    """Read the files of one object's tar."""
    with tarfile.open(path) as tar:
        return {member.name: _content(tar, member) for member in tar}


@dataclass(frozen=True)
class Layout:
    """Which object belongs to which shard, whether it has been made yet or not."""

    size: int
    """Objects in a shard, at most."""
    shard_of: Mapping[str, str]
    """Shard by uid."""

    def of(self, uids: Iterable[str]) -> dict[str, str]:
        """Return the shard of each of `uids`."""
        return {uid: self.shard_of[uid] for uid in uids}


def lay_out(uids: Iterable[str], size: int, before: Layout | None = None) -> Layout:
    """Choose a shard for each object.

    An object that had one in a layout `before` of the same size stays in it. The others come by uid hash, so that a
    shard is a fair sample, into the last shard as far as it has room, then into new ones.
    """
    chosen = set(uids)
    known = before.shard_of if before and before.size == size else {}
    shard_of = {uid: known[uid] for uid in chosen & known.keys()}
    filled = Counter(shard_of.values())
    last = max((int(shard.removeprefix("shard-").removesuffix(".tar")) for shard in filled), default=0)
    for uid in sorted(chosen - known.keys(), key=lambda uid: share_of("shard", uid)):
        if filled[_name(last)] >= size:
            last += 1
        shard_of[uid] = _name(last)
        filled[_name(last)] += 1
    return Layout(size, shard_of)


def seal_shards(items: Mapping[str, Callable[[], Members]], layout: Layout, out: Path) -> None:
    """Merge items (uid -> how to read its files) into shards under `out`, then write the index."""
    members_of: dict[str, list[str]] = {}
    for uid in sorted(items):
        members_of.setdefault(layout.shard_of[uid], []).append(uid)
    index: dict[str, object] = {}
    for shard, uids in sorted(members_of.items()):
        index |= _write_shard(out / shard, {uid: items[uid] for uid in uids})
    write_json(out / INDEX, index)


def _name(number: int) -> str:
    return f"shard-{number:05d}.tar"


def _write_shard(path: Path, items: Mapping[str, Callable[[], Members]]) -> dict[str, object]:
    rows: dict[str, object] = {}
    with atomic_file(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for uid, read in items.items():
            places = {}
            for name, content in sorted(read().items()):
                places[name] = [tar.offset + tarfile.BLOCKSIZE, len(content)]
                _add(tar, f"{uid}.{name}", content)
            rows[uid] = {"shard": path.name, "members": places}
    return rows


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    handle = tar.extractfile(member)
    assert handle is not None, f"{member.name} is not a file"
    return handle.read()


@dataclass(frozen=True)
class ShardReader:
    """Random access to the members of a sealed set of shards."""

    folder: Path
    index: Mapping[str, Mapping[str, object]]

    @classmethod
    def open(cls, folder: Path) -> "ShardReader":
        """Open a sealed set of shards.

        Raises ValueError when the folder has no index.
        """
        if not (folder / INDEX).exists():
            raise ValueError(f"{folder} has no {INDEX}: it was not sealed; run `dvc repro`")
        return cls(folder, read_json(folder / INDEX))

    def names(self, uid: str) -> list[str]:
        """Return the names of an object's members, sorted."""
        return sorted(self._places(uid))

    def read(self, uid: str, name: str) -> bytes:
        """Read the bytes of one member.

        Raises ValueError when the shard is shorter than its index says.
        """
        row = self.index[uid]
        offset, size = self._places(uid)[name]
        with (self.folder / str(row["shard"])).open("rb") as handle:
            handle.seek(offset)
            content = handle.read(size)
        if len(content) != size:
            raise ValueError(
                f"{self.folder / str(row['shard'])} is truncated: {uid}.{name} has {len(content)} of {size} bytes; "
                "restore it with `dvc checkout`"
            )
        return content

    def _places(self, uid: str) -> dict[str, tuple[int, int]]:
        if uid not in self.index:
            raise KeyError(f"{uid} is not in {self.folder}")
        members = self.index[uid]["members"]
        assert isinstance(members, dict)
        return members
