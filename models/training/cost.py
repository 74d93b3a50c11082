"""What a network needs, counted without weights, data or a GPU (torch's meta device)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from models.network.multiview_unet import MultiViewUNet


@dataclass(frozen=True)
class SampleCost:
    """One training sample: forward and backward."""

    tflop: float
    saved_activation_bytes: int
    """For the backward pass, with a fused attention kernel."""


def unet_cost(unet: MultiViewUNet, conditions: int, targets: int, dtype: torch.dtype) -> SampleCost:
    """Of an object with so many views; levels that recompute their activations keep little."""
    with torch.device("meta"):
        copy: MultiViewUNet = nn.Module.to(MultiViewUNet.from_config(unet.config), dtype).train()
    inputs = meta_inputs(copy, conditions, conditions + targets, dtype)
    with FlopCounterMode(display=False) as counter:
        copy(**inputs).float().square().mean().backward()
    copy.recompute_levels(unet.recomputed_levels)
    copy.set_attention_kernel(fused_attention)
    saved = SavedBytes([*copy.parameters(), *inputs.values()])
    with saved.watching():
        output = copy(**inputs)
    kept = saved.by_module().total()
    del output
    return SampleCost(counter.get_total_flops() / 1e12, kept)


def vae_cost(vae: AutoencoderKL, side: int, dtype: torch.dtype) -> SampleCost:
    """Of a picture of `side` pixels through encoder and decoder; its critics are not counted."""
    with torch.device("meta"):
        copy: AutoencoderKL = nn.Module.to(AutoencoderKL.from_config(vae.config), dtype).train()
        if vae.is_gradient_checkpointing:
            copy.enable_gradient_checkpointing()
        picture = torch.empty(1, copy.config.in_channels, side, side, dtype=dtype)
    saved = SavedBytes([*copy.parameters(), picture])
    with FlopCounterMode(display=False) as counter:
        with saved.watching():
            output = copy.decode(copy.encode(picture).latent_dist.mean).sample
        kept = saved.by_module().total()
        output.float().square().mean().backward()
    return SampleCost(counter.get_total_flops() / 1e12, kept)


def meta_inputs(unet: MultiViewUNet, conditions: int, views: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Keywords of `MultiViewUNet.forward` for one object, without values."""
    side, channels = unet.base.config.sample_size, unet.base.config.out_channels
    shapes = {
        "noisy_BVCHW": (1, views, channels, side, side),
        "condition_BVCHW": (1, views, channels, side, side),
        "embeds_BLD": (1, conditions, unet.base.config.cross_attention_dim),
    }
    numbers = {"timestep_B": (1,), "flag_BV": (1, views), "view_ids_BV": (1, views)}
    return {name: torch.empty(shape, dtype=dtype, device="meta") for name, shape in shapes.items()} | {
        name: torch.empty(shape, dtype=torch.long, device="meta") for name, shape in numbers.items()
    }


class Fused(torch.autograd.Function):
    """What a fused kernel keeps for its backward pass; torch's own have none for the meta device."""

    @staticmethod
    def forward(ctx: Any, query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor) -> Tensor:
        """Nothing but the shapes."""
        out_BHSD = torch.empty_like(query_BHSD)
        sums_BHS = query_BHSD.new_empty(query_BHSD.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query_BHSD, key_BHKD, value_BHKD, out_BHSD, sums_BHS)
        return out_BHSD


def fused_attention(query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor) -> Tensor:
    """Computes nothing and keeps what a fused kernel keeps."""
    out: Tensor = Fused.apply(query_BHSD, key_BHKD, value_BHKD)  # type: ignore[no-untyped-call]
    return out


@dataclass(eq=False)
class SavedTensor:
    """A tensor that the backward pass will ask for, and the module that made it."""

    tensor: Tensor
    module: str

    def unpack(self) -> Tensor:
        """The tensor."""
        return self.tensor


class SavedBytes:
    """Counts what autograd keeps of a forward pass, as long as its output lives.

    A tensor that is kept twice, or is there anyway, counts once or not at all.
    """

    def __init__(self, present: Sequence[Tensor]) -> None:
        self._present = {tensor.untyped_storage()._cdata for tensor in present}
        self._kept: WeakSet[SavedTensor] = WeakSet()
        self._modules = ModuleTracker()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count what is computed meanwhile."""
        with self._modules, torch.autograd.graph.saved_tensors_hooks(self._keep, SavedTensor.unpack):
            yield

    def by_module(self) -> Counter[str]:
        """Bytes by the innermost module."""
        alive = sorted(self._kept, key=lambda kept: kept.module)
        by_storage = {kept.tensor.untyped_storage()._cdata: kept for kept in alive}
        sizes: Counter[str] = Counter()
        for storage in by_storage.keys() - self._present:
            sizes[by_storage[storage].module] += by_storage[storage].tensor.untyped_storage().nbytes()
        return sizes

    def _keep(self, tensor: Tensor) -> SavedTensor:
        kept = SavedTensor(tensor.detach(), max(self._modules.parents, key=len))
        self._kept.add(kept)
        return kept
