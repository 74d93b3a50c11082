"""The index of a set of shards: where each member of each object lies, in columns of numbers.

Members of an object follow each other in its shard, sorted by name, so that the beginning of the first one and the
sizes say where all lie: 4 bytes a member.
"""

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tasks.artifacts.atomic import read_json, write_bytes
from tasks.artifacts.tar_blocks import BLOCK

INDEX = "index.safetensors"
OLD_INDEX = "index.json"
"""What sets have that were sealed before there was `INDEX`; of 180,000 objects it takes 1.9 GiB to read."""


@dataclass(frozen=True)
class ShardIndex:
    """Where the members of many objects lie; read by `read_index`, made by `IndexBuilder`. Pickles small."""

    uids: Sequence[str]
    """Objects in the order of the shards, N of them; the other columns follow it."""
    shard_N: npt.NDArray[np.int32]
    """Number of the object's shard."""
    start_N: npt.NDArray[np.int64]
    """Byte at which the object's first member begins with its header."""
    kind_N: npt.NDArray[np.int32]
    """Which of `names` are those of the object's members."""
    size_M: npt.NDArray[np.uint32]
    """Bytes of each member, object by object."""
    names: Sequence[Sequence[str]]
    """The lists of names that occur, each sorted; objects of one rendering have one or a few."""

    def __contains__(self, uid: object) -> bool:
        return uid in self._row_of

    def shard(self, uid: str) -> int:
        """Return the number of an object's shard."""
        return int(self.shard_N[self._row_of[uid]])

    def members(self, uid: str) -> Sequence[str]:
        """Return the names of an object's members, sorted."""
        return self.names[self.kind_N[self._row_of[uid]]]

    def start(self, uid: str) -> int:
        """Return the byte at which an object begins in its shard."""
        return int(self.start_N[self._row_of[uid]])

    def sizes(self, uid: str) -> list[int]:
        """Return the bytes of each of an object's members, in the order of `members`."""
        row = self._row_of[uid]
        sizes: list[int] = self.size_M[self._first[row] : self._first[row + 1]].tolist()
        return sizes

    def place(self, uid: str, name: str) -> tuple[int, int]:
        """Return where the content of a member begins in its shard and how long it is, in bytes.

        Raises KeyError when the object has no such member.
        """
        names = self.members(uid)
        if name not in names:
            raise KeyError(f"{uid} has no {name}")
        position, sizes = names.index(name), self.sizes(uid)
        return self.start(uid) + blocks(sizes[:position]) + BLOCK, sizes[position]

    def end(self, uid: str) -> int:
        """Return the byte after the content of an object's last member."""
        offset, size = self.place(uid, self.members(uid)[-1])
        return offset + size

    def only(self, uids: Iterable[str]) -> "ShardIndex":
        """Return the index of some of the objects."""
        builder = IndexBuilder()
        for uid in uids:
            builder.copy(uid, self)
        return builder.index()

    def write(self, path: Path) -> None:
        """Write the index; equal indexes give equal bytes."""
        columns: dict[str, npt.NDArray[Any]] = {
            "uids": np.frombuffer("\n".join(self.uids).encode(), np.uint8),
            "shard": self.shard_N,
            "start": self.start_N,
            "kind": self.kind_N,
            "size": self.size_M,
        }
        # one entry: the order of several would be another each time
        write_bytes(path, save(columns, {"names": json.dumps([list(names) for names in self.names])}))

    @cached_property
    def _row_of(self) -> Mapping[str, int]:
        return {uid: row for row, uid in enumerate(self.uids)}

    @cached_property
    def _first(self) -> npt.NDArray[np.int64]:
        """Position of each object's first size, and at last their number."""
        counts = np.array([len(names) for names in self.names], np.int64)[self.kind_N]
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def blocks(sizes: Iterable[int]) -> int:
    """Return the bytes that members of these sizes take in a tar: a block of header each, and whole blocks."""
    return sum(BLOCK + -(-size // BLOCK) * BLOCK for size in sizes)


def read_index(folder: Path) -> ShardIndex:
    """Read the index of a sealed set of shards, also of one that was sealed when indexes were JSON.

    Raises ValueError when there is none, or when it is damaged.
    """
    path = folder / INDEX
    if not path.exists():
        if (folder / OLD_INDEX).exists():
            return _from_json(read_json(folder / OLD_INDEX))
        raise ValueError(f"{folder} has no {INDEX}: it was not sealed; run `dvc repro`")
    try:
        with safe_open(path, framework="numpy") as stored:
            uids = stored.get_tensor("uids").tobytes().decode()
            shard, start, kind, size = (stored.get_tensor(name) for name in ("shard", "start", "kind", "size"))
            names = [tuple(row) for row in json.loads(stored.metadata()["names"])]
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); restore it with `dvc checkout`") from error
    return ShardIndex(uids.split("\n") if uids else [], shard, start, kind, size, names)


def _from_json(rows: Mapping[str, Any]) -> ShardIndex:
    builder = IndexBuilder()
    for uid, row in sorted(rows.items(), key=lambda item: item[1]["shard"]):
        names = sorted(row["members"])
        sizes = [row["members"][name][1] for name in names]
        first, last = (row["members"][name][0] - BLOCK for name in (names[0], names[-1]))
        assert first + blocks(sizes[:-1]) == last, f"the members of {uid} do not follow each other"
        builder.add(uid, number_of(row["shard"]), first, names, sizes)
    return builder.index()


def number_of(shard: str) -> int:
    """Return the number in a shard's file name, e.g. 7 of shard-00007.tar."""
    return int(shard.removeprefix("shard-").removesuffix(".tar"))


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:05d}.tar"


@dataclass
class IndexBuilder:
    """Collects the rows of an index in the form that they have in memory: lists of numbers would take ten times it."""

    _uids: list[str] = field(default_factory=list)
    _shards: "array[int]" = field(default_factory=lambda: array("i"))
    _starts: "array[int]" = field(default_factory=lambda: array("q"))
    _kinds: "array[int]" = field(default_factory=lambda: array("i"))
    _sizes: "array[int]" = field(default_factory=lambda: array("I"))
    _kind_of: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, uid: str, shard: int, start: int, names: Sequence[str], sizes: Sequence[int]) -> None:
        """Add an object: the number of its shard, where it begins there, and its members, sorted by name."""
        self._uids.append(uid)
        self._shards.append(shard)
        self._starts.append(start)
        self._kinds.append(self._kind_of.setdefault(tuple(names), len(self._kind_of)))
        self._sizes.extend(sizes)

    def copy(self, uid: str, index: ShardIndex) -> None:
        """Add an object as it stands in another index."""
        self.add(uid, index.shard(uid), index.start(uid), index.members(uid), index.sizes(uid))

    def index(self) -> ShardIndex:
        """Return the index of all objects that were added."""
        return ShardIndex(
            list(self._uids),
            np.array(self._shards, np.int32),
            np.array(self._starts, np.int64),
            np.array(self._kinds, np.int32),
            np.array(self._sizes, np.uint32),
            tuple(self._kind_of),
        )
