"""Latents of every view of many objects on disk: safetensors shards, of which a sample reads only its own views.

Knows nothing of the VAE that made them. On disk: moments = posterior mean and log variance, unscaled, float16;
checks = CRC-32 of every view's moments and, last, of the embeddings, so that a sample checks what it reads. The index
has the CRC-32 of each object's checks, so that a shard of another set is noticed.
"""

# V view, K condition view, C latent channel, D embedding
import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

INDEX = "index.json"
WHITE = "white.safetensors"
IMAGE_ENCODER = "image_encoder"
FEATURE_EXTRACTOR = "feature_extractor"


@dataclass(frozen=True)
class ObjectLatents:
    """All views of one object: targets t00.. first, then conditions c00.. ."""

    moments_VCHW: Tensor
    """(V, 2C, h, w)"""
    embeds_KD: Tensor
    """CLIP image embeddings of the condition views."""


@dataclass(frozen=True)
class ObjectRow:
    """What the index says of one object."""

    shard: str
    split: str
    condition_columns: list[int]
    """Azimuth column of each condition view."""
    check: int = 0
    """CRC-32 of the object's checks; `write_index` finds it."""


@dataclass(frozen=True)
class LatentLayout:
    """What all objects of a set have in common."""

    num_targets: int
    num_columns: int
    """Azimuths; targets are row-major, elevations outer."""
    latent_channels: int
    latent_size: int
    embedding_dim: int
    geometry: dict[str, Any]
    """Of the target cameras: azimuths, elevations_deg, fov_deg, distance."""
    white: str = WHITE
    """File with the moments of the all-white image with the all-ones mask."""


def write_shard(path: Path, objects: Mapping[str, ObjectLatents]) -> None:
    """Write one shard, whole or not at all; equal tensors give equal bytes."""
    tensors: dict[str, Tensor] = {}
    for uid, item in objects.items():
        moments = item.moments_VCHW.to("cpu", torch.float16).contiguous()
        embeds = item.embeds_KD.to("cpu", torch.float16).contiguous()
        checks = torch.tensor([*map(_check, moments[:, None]), _check(embeds)])
        tensors |= {f"{uid}/moments": moments, f"{uid}/embeds": embeds, f"{uid}/checks": checks}
    _write_tensors(path, tensors)


def write_index(folder: Path, layout: LatentLayout, white_1CHW: Tensor, objects: Mapping[str, ObjectRow]) -> None:
    """Write the white image's moments, then, last, the index: without it the folder is no latent set.

    All shards must lie in `folder`.
    """
    _write_tensors(folder / layout.white, {"white": white_1CHW.to("cpu", torch.float16).contiguous()})
    rows: dict[str, dict[str, Any]] = {}
    for shard, uids in groupby(sorted(objects, key=lambda uid: objects[uid].shard), lambda uid: objects[uid].shard):
        with safe_open(folder / shard, framework="pt") as stored:
            checks = {uid: _check(stored.get_tensor(f"{uid}/checks")) for uid in uids}
        rows |= {uid: asdict(replace(objects[uid], check=check)) for uid, check in checks.items()}
    index = asdict(layout) | {"objects": rows}
    part = folder / f".{INDEX}.{os.getpid()}.part"
    part.write_text(json.dumps(index, indent=1, sort_keys=True, allow_nan=False) + "\n")
    part.replace(folder / INDEX)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    save_file(dict(tensors), part)
    part.replace(path)


@dataclass(frozen=True)
class LatentSet:
    """A finished latent set."""

    folder: Path
    layout: LatentLayout
    objects: Mapping[str, ObjectRow]
    copy_of: Callable[[str], Path] | None = None
    """Where a copy of a shard lies; None: the shards are read in `folder`."""
    _shards: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path, copy_of: Callable[[str], Path] | None = None) -> "LatentSet":
        """Raises ValueError when the folder has no index."""
        if not (folder / INDEX).exists():
            raise ValueError(f"{folder} has no {INDEX}: encoding did not finish; run `dvc repro encode`")
        index = json.loads((folder / INDEX).read_bytes())
        rows = index.pop("objects")
        return cls(folder, LatentLayout(**index), {uid: ObjectRow(**row) for uid, row in rows.items()}, copy_of)

    def uids(self, split: str | None = None) -> list[str]:
        """Objects of a split, or all, sorted."""
        return sorted(uid for uid, row in self.objects.items() if split in (None, row.split))

    @property
    def num_conditions(self) -> int:
        """Condition views that every object has."""
        return min(len(row.condition_columns) for row in self.objects.values())

    def views(self, uid: str, indices: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Moments float32 (V, 2C, h, w) of some views; only these are read."""
        stored = self._shard(uid).get_slice(f"{uid}/moments")
        views = {int(index): stored[int(index) : int(index) + 1] for index in indices}
        self._require(uid, views)
        return torch.cat([views[int(index)] for index in indices]).float()

    def condition_views(self, uid: str, conditions: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Moments float32 (K, 2C, h, w) of condition views by their number."""
        return self.views(uid, [self.layout.num_targets + int(condition) for condition in conditions])

    def embeds(self, uid: str, conditions: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Image embeddings float32 (K, D) of condition views by their number."""
        stored = self._tensor(uid, "embeds")
        self._require(uid, {-1: stored})
        return stored[torch.as_tensor(np.asarray(conditions))].float()

    def condition_column(self, uid: str, condition: int) -> int:
        """Azimuth column that a condition view stands at."""
        return self.objects[uid].condition_columns[condition]

    def white(self) -> Tensor:
        """Moments float32 (1, 2C, h, w) of the white image with the all-ones mask."""
        with safe_open(self.folder / self.layout.white, framework="pt") as stored:
            white: Tensor = stored.get_tensor("white")
        return white.float()

    def _shard(self, uid: str) -> Any:
        """The open shard of an object; files stay open and memory-mapped."""
        name = self.objects[uid].shard
        if name not in self._shards:
            path = self._path(name)
            try:
                self._shards[name] = safe_open(path, framework="pt")
            except (OSError, SafetensorError) as error:
                raise ValueError(self._broken(name, str(error))) from error
        return self._shards[name]

    def _tensor(self, uid: str, name: str) -> Tensor:
        try:
            tensor: Tensor = self._shard(uid).get_tensor(f"{uid}/{name}")
        except SafetensorError as error:
            raise ValueError(self._broken(self.objects[uid].shard, str(error))) from error
        return tensor

    def _require(self, uid: str, tensors: Mapping[int, Tensor]) -> None:
        """Raise ValueError when a stored tensor is not the one that was encoded; by its number among the checks."""
        checks = self._tensor(uid, "checks")
        if _check(checks) != self.objects[uid].check:
            raise ValueError(self._broken(self.objects[uid].shard, f"its {uid} is not the one of {INDEX}"))
        for number, tensor in tensors.items():
            if _check(tensor) != checks[number]:
                raise ValueError(self._broken(self.objects[uid].shard, f"tensor {number} of {uid} has changed"))

    def _path(self, shard: str) -> Path:
        return self.folder / shard if self.copy_of is None else self.copy_of(shard)

    def _broken(self, shard: str, reason: str) -> str:
        if self.copy_of is None:
            return f"{self.folder / shard} is broken ({reason}); remove {self.folder} and run `dvc repro encode`"
        return (
            f"{self._path(shard)}, a copy, is broken ({reason}); remove it, and if that does not help put the files of "
            f"{self.folder} where it was copied from"
        )


def _check(tensor: Tensor) -> int:
    """CRC-32 of a tensor's bytes."""
    return zlib.crc32(tensor.contiguous().numpy().tobytes())


def sample_posterior(moments_VCHW: Tensor, noise_VCHW: Tensor) -> Tensor:
    """Latents (V, C, h, w), unscaled, from moments (V, 2C, h, w) and standard normal noise (V, C, h, w).

    The log variance is clamped as in diffusers' DiagonalGaussianDistribution.
    """
    mean_VCHW, logvar_VCHW = moments_VCHW.chunk(2, dim=1)
    return mean_VCHW + torch.exp(0.5 * logvar_VCHW.clamp(-30.0, 20.0)) * noise_VCHW
