"""WebDataset tar shards with stable membership: an object stays in the shard it once came into.

Adding objects therefore fills the last shard and writes new ones; DVC hashes thousands of files instead of millions.
Reading needs no unpacking: the index knows where every member lies (tasks.artifacts.shard_index).
"""

import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tasks.artifacts.atomic import atomic_file, hard_link
from tasks.artifacts.randomness import share_of
from tasks.artifacts.shard_index import INDEX, IndexBuilder, ShardIndex, number_of, read_index, shard_name
from tasks.artifacts.tar_blocks import END, filling, header, members_of

OBJECTS_PER_SHARD = 64
"""For sets of test objects, which are small; the shards of a data set have the size that its configuration says."""
Members = Mapping[str, bytes]


def write_item(path: Path, members: Members) -> None:
    """Write one object's files as a small tar, whole or not at all; equal members give equal bytes."""
    with atomic_file(path) as part, part.open("wb") as tar:
        for name in sorted(members):
            _add(tar, name, members[name])
        _finish(tar)


def read_item(path: Path) -> dict[str, bytes]:
    """Read the files of one object's tar.

    Raises ValueError when it is cut short.
    """
    try:
        return dict(members_of(path.read_bytes()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; remove it and run the stage again") from error


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
    last = max(map(number_of, filled), default=0)
    for uid in sorted(chosen - known.keys(), key=lambda uid: share_of("shard", uid)):
        if filled[shard_name(last)] >= size:
            last += 1
        shard_of[uid] = shard_name(last)
        filled[shard_name(last)] += 1
    return Layout(size, shard_of)


def seal_shards(
    items: Mapping[str, Callable[[], Members]],
    layout: Layout,
    out: Path,
    unchanged: "Mapping[str, ShardReader] | None" = None,
    release: Callable[[Path, ShardIndex], None] | None = None,
) -> None:
    """Merge items into shards under `out`, then write the index.

    Args:
        items: How to read the files of each object, by uid.
        layout: Where each object belongs.
        out: Takes the shards.
        unchanged: For shards that have been made with the same content, by name: where; they are linked.
        release: Told of each shard that was written, once it is on the disk, with its own index.
    """
    members_of: dict[str, list[str]] = {}
    for uid in sorted(items):
        members_of.setdefault(layout.shard_of[uid], []).append(uid)
    index = IndexBuilder()
    for shard, uids in sorted(members_of.items()):
        if unchanged is not None and shard in unchanged:
            hard_link(unchanged[shard].shard(uids[0]), out / shard)
            of_shard = unchanged[shard].index
        else:
            of_shard = _write_shard(out / shard, {uid: items[uid] for uid in uids})
            if release is not None:
                release(out / shard, of_shard)
        for uid in uids:
            index.copy(uid, of_shard)
    index.index().write(out / INDEX)


def _write_shard(path: Path, items: Mapping[str, Callable[[], Members]]) -> ShardIndex:
    index = IndexBuilder()
    with atomic_file(path) as part, part.open("wb") as tar:
        for uid, read in items.items():
            start, members = tar.tell(), sorted(read().items())
            for name, content in members:
                _add(tar, f"{uid}.{name}", content)
            names, sizes = [name for name, _ in members], [len(content) for _, content in members]
            index.add(uid, number_of(path.name), start, names, sizes)
        _finish(tar)
    return index.index()


def _add(tar: BinaryIO, name: str, content: bytes) -> None:
    tar.write(header(name, len(content)))
    tar.write(content)
    tar.write(filling(len(content)))


def _finish(tar: BinaryIO) -> None:
    tar.write(END)
    tar.write(filling(tar.tell(), tarfile.RECORDSIZE))


@dataclass(frozen=True)
class ShardReader:
    """Random access to the members of a sealed set of shards."""

    folder: Path
    index: ShardIndex

    @classmethod
    def open(cls, folder: Path) -> "ShardReader":
        """Open a sealed set of shards.

        Raises ValueError when the folder has no index.
        """
        return cls(folder, read_index(folder))

    def only(self, uids: Iterable[str]) -> "ShardReader":
        """Return a reader of some of the objects."""
        return ShardReader(self.folder, self.index.only(uids))

    def __contains__(self, uid: object) -> bool:
        return uid in self.index

    @property
    def uids(self) -> list[str]:
        """Names of all objects, sorted."""
        return sorted(self.index.uids)

    def shard(self, uid: str) -> Path:
        """Return the shard that holds an object."""
        return self.folder / shard_name(self.index.shard(uid))

    def names(self, uid: str) -> Sequence[str]:
        """Return the names of an object's members, sorted."""
        return self.index.members(uid)

    def read(self, uid: str, name: str) -> bytes:
        """Read the bytes of one member.

        Raises KeyError for an unknown object or member, ValueError when the shard is shorter than its index says.
        """
        if uid not in self.index:
            raise KeyError(f"{uid} is not in {self.folder}")
        offset, size = self.index.place(uid, name)
        shard = self.shard(uid)
        with shard.open("rb") as handle:
            handle.seek(offset)
            content = handle.read(size)
        if len(content) != size:
            raise ValueError(
                f"{shard} is truncated: {uid}.{name} has {len(content)} of {size} bytes; restore it with `dvc checkout`"
            )
        return content
