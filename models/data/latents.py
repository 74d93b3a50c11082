"""A latent set: the latents of all views of many objects in safetensors shards, of which a sample reads its own views.

Knows nothing of the VAE that made them. Tensors of an object on disk: `moments`, posterior mean and log variance,
unscaled, float16; `embeds`, CLIP embeddings of the condition views; `checks`, the CRC-32 of each view's moments and,
last, of the embeddings, so that a sample checks what it reads. The index has the CRC-32 of each object's checks, so
that a shard of another set is noticed.
"""

# Shapes: V view, K condition view, C latent channel, H and W latent size, D embedding width

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.data.latent_index import INDEX, LatentIndex, LatentLayout, ObjectRow, read_latent_index

IMAGE_ENCODER = "image_encoder"
FEATURE_EXTRACTOR = "feature_extractor"


@dataclass(frozen=True)
class ObjectLatents:
    """The latents of all views of one object: targets t00.. first, then condition views c00.. ."""

    moments_VCHW: Tensor
    """(V, 2C, H, W) mean and log variance of the posterior, unscaled."""
    embeds_KD: Tensor
    """(K, D) CLIP image embeddings of the condition views."""

    def stored(self) -> "ObjectLatents":
        """Return them as a shard stores them: float16, in the memory of the processor."""
        return ObjectLatents(
            *(tensor.to("cpu", torch.float16).contiguous() for tensor in (self.moments_VCHW, self.embeds_KD))
        )


def write_shard(path: Path, objects: Mapping[str, ObjectLatents]) -> None:
    """Write one shard, whole or not at all and on disk when this returns; equal tensors give equal bytes.

    Raises OSError that names the shard when it cannot be written, as when the disk is full.
    """
    tensors: dict[str, Tensor] = {}
    for uid, item in objects.items():
        stored = item.stored()
        moments, embeds = stored.moments_VCHW, stored.embeds_KD
        checks = torch.tensor([*map(_check, moments[:, None]), _check(embeds)])
        tensors |= {f"{uid}/moments": moments, f"{uid}/embeds": embeds, f"{uid}/checks": checks}
    _write_tensors(path, tensors)


def write_index(folder: Path, layout: LatentLayout, white_1CHW: Tensor, objects: Mapping[str, ObjectRow]) -> None:
    """Write the white image's moments and then the index, which completes the latent set.

    Args:
        folder: Where all shards lie already.
        layout: What the objects have in common.
        white_1CHW: Moments (1, 2C, H, W) of the white image with the all-ones mask.
        objects: Entries by uid; their checks are computed here.
    """
    _write_tensors(folder / layout.white, {"white": white_1CHW.to("cpu", torch.float16).contiguous()})
    rows: dict[str, ObjectRow] = {}
    for shard, uids in groupby(sorted(objects, key=lambda uid: objects[uid].shard), lambda uid: objects[uid].shard):
        with safe_open(folder / shard, framework="pt") as stored:
            rows |= {uid: replace(objects[uid], check=_check(stored.get_tensor(f"{uid}/checks"))) for uid in uids}
    LatentIndex.of(rows).write(folder, layout)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(dict(tensors), part)
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True)
class LatentSet:
    """A latent set on disk, opened for reading by `LatentSet.open`; its shards are memory-mapped."""

    folder: Path
    layout: LatentLayout
    objects: LatentIndex
    copy_of: Callable[[str], Path] | None = None
    """Path of a local copy of a shard, by file name; None: shards are read in `folder`."""
    _shards: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path, copy_of: Callable[[str], Path] | None = None) -> "LatentSet":
        """Read the index of a latent set.

        Args:
            folder: Where `write_index` has written.
            copy_of: Makes or finds a local copy of a shard by its file name, such as a node cache; None: none.

        Raises:
            ValueError: The folder has no index, or a damaged one.
        """
        return cls(folder, *read_latent_index(folder), copy_of)

    def uids(self, split: str | None = None) -> list[str]:
        """Sorted uids of the objects of a split, train or val, or of all."""
        return self.objects.uids(split)

    @property
    def num_conditions(self) -> int:
        """Condition views that every object has."""
        return self.objects.num_conditions

    def views(self, uid: str, indices: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Read the moments of some views of an object.

        Args:
            uid: The object.
            indices: Numbers of the views, targets first; only these are read.

        Returns:
            (V, 2C, H, W) float32 mean and log variance, unscaled, in the order of `indices`.

        Raises:
            ValueError: The shard is damaged or belongs to another latent set.
        """
        stored = self._shard(uid).get_slice(f"{uid}/moments")
        views = {int(index): stored[int(index) : int(index) + 1] for index in indices}
        self._require(uid, views)
        return torch.cat([views[int(index)].float() for index in indices])  # autocast on a processor joins no float16

    def condition_views(self, uid: str, conditions: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Read the moments (K, 2C, H, W) float32 of condition views, which count from 0; raises as `views` does."""
        return self.views(uid, [self.layout.num_targets + int(condition) for condition in conditions])

    def embeds(self, uid: str, conditions: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Read the CLIP embeddings (K, D) float32 of condition views; raises as `views` does."""
        stored = self._tensor(uid, "embeds")
        self._require(uid, {-1: stored})
        return stored[torch.as_tensor(np.asarray(conditions))].float()

    def condition_column(self, uid: str, condition: int) -> int:
        """The azimuth column at which a condition view stands."""
        return self.objects[uid].condition_columns[condition]

    def white(self) -> Tensor:
        """Read the moments (1, 2C, H, W) float32 of the white image with the all-ones mask."""
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
        """Raise ValueError when a tensor differs from the one that was written; keys are positions among the checks."""
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
    """Sample the VAE's posterior; the log variance is clamped as in diffusers' DiagonalGaussianDistribution.

    Args:
        moments_VCHW: (V, 2C, H, W) mean and log variance, unscaled.
        noise_VCHW: (V, C, H, W) standard normal noise.

    Returns:
        (V, C, H, W) latents, unscaled.
    """
    mean_VCHW, logvar_VCHW = moments_VCHW.chunk(2, dim=1)
    return mean_VCHW + torch.exp(0.5 * logvar_VCHW.clamp(-30.0, 20.0)) * noise_VCHW
