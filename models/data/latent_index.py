"""The index of a latent set: which objects it has, and what is known of each, in columns of numbers."""

# Shapes: N object, K condition view, at most

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

INDEX = "index.safetensors"
OLD_INDEX = "index.json"
"""What sets have that were encoded before there was `INDEX`; of 180,000 objects it takes 170 MiB to read."""
WHITE = "white.safetensors"
NO_COLUMN = -1
"""Stands for the condition views that an object has fewer than others."""


@dataclass(frozen=True)
class ObjectRow:
    """The entry of one object in the index."""

    shard: str
    """File name of its shard."""
    split: str
    """train or val."""
    condition_columns: list[int]
    """Azimuth column of each condition view."""
    check: int = 0
    """CRC-32 of the object's checks; `write_index` fills it in."""


@dataclass(frozen=True)
class LatentLayout:
    """What all objects of a latent set have in common."""

    num_targets: int
    num_columns: int
    """Azimuths per elevation; targets are row-major, elevations outer and azimuths inner."""
    latent_channels: int
    latent_size: int
    embedding_dim: int
    geometry: dict[str, Any]
    """Cameras of the targets: azimuths (their number), elevations_deg, fov_deg, distance."""
    white: str = WHITE
    """File with the moments of the all-white image with the all-ones mask."""


@dataclass(frozen=True)
class LatentIndex(Mapping[str, ObjectRow]):
    """The entries of all objects by uid, each made when it is asked for, since all take several times the room."""

    _uids: tuple[str, ...]
    """Sorted."""
    _shards: tuple[str, ...]
    _splits: tuple[str, ...]
    _shard_N: npt.NDArray[np.int32]
    """Position among the shards."""
    _split_N: npt.NDArray[np.uint8]
    """Position among the splits."""
    _columns_NK: npt.NDArray[np.int16]
    _check_N: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, rows: Mapping[str, ObjectRow]) -> "LatentIndex":
        """Return the index of some objects."""
        uids = tuple(sorted(rows))
        shards = sorted({row.shard for row in rows.values()})
        splits = sorted({row.split for row in rows.values()})
        shard_at, split_at = ({name: at for at, name in enumerate(names)} for names in (shards, splits))
        width = max((len(row.condition_columns) for row in rows.values()), default=0)
        columns = np.full((len(uids), width), NO_COLUMN, np.int16)
        for at, uid in enumerate(uids):
            columns[at, : len(rows[uid].condition_columns)] = rows[uid].condition_columns
        return cls(
            uids,
            tuple(shards),
            tuple(splits),
            np.array([shard_at[rows[uid].shard] for uid in uids], np.int32),
            np.array([split_at[rows[uid].split] for uid in uids], np.uint8),
            columns,
            np.array([rows[uid].check for uid in uids], np.uint32),
        )

    def __getitem__(self, uid: str) -> ObjectRow:
        at = self._at[uid]
        columns = self._columns_NK[at]
        return ObjectRow(
            self._shards[self._shard_N[at]],
            self._splits[self._split_N[at]],
            columns[columns != NO_COLUMN].tolist(),
            int(self._check_N[at]),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._uids)

    def __len__(self) -> int:
        return len(self._uids)

    def uids(self, split: str | None = None) -> list[str]:
        """Return the sorted uids of the objects of a split, or of all."""
        if split is None:
            return list(self._uids)
        if split not in self._splits:
            return []
        wanted = np.flatnonzero(self._split_N == self._splits.index(split))
        return [self._uids[at] for at in wanted.tolist()]

    @property
    def num_conditions(self) -> int:
        """Condition views that every object has."""
        return int((self._columns_NK != NO_COLUMN).sum(axis=1).min())

    @cached_property
    def _at(self) -> dict[str, int]:
        return {uid: at for at, uid in enumerate(self._uids)}

    def write(self, folder: Path, layout: LatentLayout) -> None:
        """Write the index of a latent set and what its objects have in common; equal ones give equal bytes."""
        common = {"layout": asdict(layout), "shards": self._shards, "splits": self._splits}
        columns: dict[str, npt.NDArray[Any]] = {
            "uids": np.frombuffer("\n".join(self._uids).encode(), np.uint8),
            "shard": self._shard_N,
            "split": self._split_N,
            "condition_columns": self._columns_NK,
            "check": self._check_N,
        }
        part = folder / f".{INDEX}.{os.getpid()}.part"
        # one entry: the order of several would be another each time
        save_file(columns, part, {"common": json.dumps(common, sort_keys=True, allow_nan=False)})
        part.replace(folder / INDEX)


def read_latent_index(folder: Path) -> tuple[LatentLayout, LatentIndex]:
    """Read the index of a latent set, also of one that was encoded when indexes were JSON.

    Raises ValueError when there is none, or when it is damaged.
    """
    path = folder / INDEX
    if not path.exists():
        if not (folder / OLD_INDEX).exists():
            raise ValueError(f"{folder} has no {INDEX}: encoding did not finish; run `dvc repro encode`")
        old = json.loads((folder / OLD_INDEX).read_bytes())
        rows = {uid: ObjectRow(**row) for uid, row in old.pop("objects").items()}
        return LatentLayout(**old), LatentIndex.of(rows)
    try:
        with safe_open(path, framework="numpy") as stored:
            columns = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 it is no mapping
            common = json.loads(stored.metadata()["common"])
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); restore it with `dvc checkout`") from error
    uids = columns["uids"].tobytes().decode()
    return LatentLayout(**common["layout"]), LatentIndex(
        tuple(uids.split("\n")) if uids else (),
        tuple(common["shards"]),
        tuple(common["splits"]),
        columns["shard"],
        columns["split"],
        columns["condition_columns"],
        columns["check"],
    )
