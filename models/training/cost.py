"""Operations and activation memory of one training sample, counted without weights, data or a GPU.

Shapes alone flow through the network on torch's meta device. Our own count of saved activations, since torch's
(torch.distributed._tools.MemTracker) is private and counts an attention kernel that keeps all scores. In bfloat16 it
counts what autocast makes a forward pass keep (models.training.emulated_autocast), not what a network cast to bfloat16
would: norms give float32 on CUDA, and each layer saves its own cast of its input.
"""

# Shapes: B object, V view, C latent channel, H and W latent size (of attention: H head, S query, K key, D head width),
# L context token, D context width

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from models.network.recomputed_feed_forward import has_recomputed_feed_forward, recompute_feed_forward
from models.network.rounded_norms import has_rounded_norms, round_norms
from models.training.emulated_autocast import Device, EmulatedAutocast


@dataclass(frozen=True)
class SampleCost:
    """The cost of one training sample, forward and backward."""

    tflop: float
    """10^12 floating-point operations, without those of recomputed activations."""
    saved_activation_bytes: int
    """Bytes that autograd saves for the backward pass, with a fused attention kernel. Autocast's copies of the weights
    are not among them: any number of samples share those."""
    recomputed_bytes: int = 0
    """Bytes of the largest part that the backward pass computes again at one time, while the rest is still kept."""


def unet_cost(unet: MultiViewUNet, conditions: int, targets: int, autocast: Device | None) -> SampleCost:
    """Count operations and saved activations of one sample of a diffusion training.

    What `unet` computes again (`MultiViewUNet.recompute_levels`, `recompute_feed_forward`) saves its inputs alone, and
    rounded norms (`round_norms`) 16 bits.

    Args:
        unet: The network; its weights are neither read nor changed.
        conditions: Number of condition views.
        targets: Number of target views.
        autocast: The device whose autocast to bfloat16 the forward pass runs under; None: all in float32.
    """
    with torch.device("meta"):
        copy: MultiViewUNet = MultiViewUNet.from_config(unet.config).train()
    inputs = meta_inputs(copy, conditions, conditions + targets, torch.float32)
    tflop = meta_tflop(lambda: copy(**inputs).square().mean().backward())
    if has_rounded_norms(unet):
        round_norms(copy)
    copy.set_attention_kernel(fused_attention, takes_masks=True)
    plain = saved_by_module(lambda: copy(**inputs), [*copy.parameters(), *inputs.values()], autocast)
    copy.recompute_levels(unet.recomputed_levels)
    if has_recomputed_feed_forward(unet):
        recompute_feed_forward(copy)
    saved = saved_by_module(lambda: copy(**inputs), [*copy.parameters(), *inputs.values()], autocast)
    again = largest_recomputed(plain, saved, r".*\.(resnets|attentions)\.\d+")
    return SampleCost(tflop, saved.total(), again)


def unet_tflop(unet: MultiViewUNet, conditions: int, targets: int) -> float:
    """Count the 10^12 operations of one sample of a diffusion training, as `unet_cost` does, and nothing else."""
    with torch.device("meta"):
        copy: MultiViewUNet = MultiViewUNet.from_config(unet.config).train()
    inputs = meta_inputs(copy, conditions, conditions + targets, torch.float32)
    return meta_tflop(lambda: copy(**inputs).square().mean().backward())


def count_parameters(network: nn.Module) -> int:
    """Count the numbers in all weights, of a sharded network those of all ranks together."""
    return sum(weight.numel() for weight in network.parameters())


def meta_tflop(work: Callable[[], object]) -> float:
    """Count the 10^12 operations of what runs on meta tensors: from whole numbers, alike on every machine."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops() / 1e12)


def vae_cost(vae: AutoencoderKL, side: int, autocast: Device | None) -> SampleCost:
    """Count operations and saved activations of one image of `side` pixels through encoder and decoder.

    The perceptual network and the discriminator are not counted. `autocast` is as for `unet_cost`.
    """
    with torch.device("meta"):
        copy: AutoencoderKL = AutoencoderKL.from_config(vae.config).train()
        if has_rounded_norms(vae):
            round_norms(copy)
        image = torch.empty(1, copy.config.in_channels, side, side)

    def forward() -> Tensor:
        decoded: Tensor = copy.decode(copy.encode(image).latent_dist.mean).sample
        return decoded

    tflop = meta_tflop(lambda: torch.autograd.backward(forward().square().mean()))
    plain = saved = saved_by_module(forward, [*copy.parameters(), image], autocast)
    if vae.is_gradient_checkpointing:
        copy.enable_gradient_checkpointing()
        saved = saved_by_module(forward, [*copy.parameters(), image], autocast)
    again = largest_recomputed(plain, saved, r".*\.((down|up)_blocks\.\d+|mid_block)")
    return SampleCost(tflop, saved.total(), again)


def largest_recomputed(plain: Counter[str], saved: Counter[str], part: str) -> int:
    """Return the most bytes that one part of a network saves no more.

    Args:
        plain: Bytes saved by each module without gradient checkpointing.
        saved: Bytes saved with it.
        part: Regular expression for the beginning of a module's name that names the part computed again as one.
    """
    parts: Counter[str] = Counter()
    for name in plain.keys() | saved.keys():
        if found := re.match(part, name):
            parts[found[0]] += plain[name] - saved[name]
    return max(0, *parts.values())


def meta_inputs(unet: MultiViewUNet, conditions: int, views: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Arguments of `MultiViewUNet.forward` for one object, as meta tensors: shapes without values."""
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


class FusedAttention(torch.autograd.Function):
    """Saves what a fused attention kernel saves for its backward pass; torch's kernels lack a meta implementation."""

    @staticmethod
    def forward(ctx: Any, query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor) -> Tensor:
        """Return an output of the right shape and save inputs, output and row sums."""
        out_BHSD = torch.empty_like(query_BHSD)
        sums_BHS = query_BHSD.new_empty(query_BHSD.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query_BHSD, key_BHKD, value_BHKD, out_BHSD, sums_BHS)
        return out_BHSD


def fused_attention(query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor) -> Tensor:
    """Stand in for a fused kernel (models.network.attention.Kernel) that saves as much and computes nothing."""
    out: Tensor = FusedAttention.apply(query_BHSD, key_BHKD, value_BHKD)  # type: ignore[no-untyped-call]
    return out


def saved_by_module(
    forward: Callable[[], Tensor], excluded: Sequence[Tensor], autocast: Device | None = None
) -> Counter[str]:
    """Count the bytes that autograd saves in a forward pass, by the name of the innermost module that saved them.

    Args:
        forward: The forward pass.
        excluded: Tensors that exist anyway, as `SavedBytes` takes them.
        autocast: The device whose autocast is emulated; its copies of the weights do not count. None: none is.
    """
    saved, casts = SavedBytes(excluded), EmulatedAutocast(autocast)
    with saved.recording(), casts:
        output = forward()
    saved.exclude(casts.weight_copies)
    sizes = saved.by_module()
    del output  # saved tensors live as long as the output
    return sizes


@dataclass(eq=False)
class SavedTensor:
    """A tensor saved for the backward pass, and the module that saved it."""

    tensor: Tensor
    module: str

    def unpack(self) -> Tensor:
        """Return the tensor to the backward pass."""
        return self.tensor


class SavedBytes:
    """Counts the bytes that autograd saves in a forward pass while its output is alive.

    Each storage counts once.

    Args:
        excluded: Tensors that exist anyway, such as weights and inputs; their storages do not count.
    """

    def __init__(self, excluded: Sequence[Tensor]) -> None:
        self._excluded: set[int] = set()
        self.exclude(excluded)
        self._saved: WeakSet[SavedTensor] = WeakSet()
        self._modules = ModuleTracker()

    def exclude(self, tensors: Sequence[Tensor]) -> None:
        """Leave more tensors out; they must stay alive, or another may take their place in memory."""
        self._excluded |= {tensor.untyped_storage()._cdata for tensor in tensors}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what autograd saves inside the `with` block."""
        with self._modules, torch.autograd.graph.saved_tensors_hooks(self._pack, SavedTensor.unpack):
            yield

    def by_module(self) -> Counter[str]:
        """Bytes by the name of the innermost module that saved them."""
        alive = sorted(self._saved, key=lambda saved: saved.module)
        by_storage = {saved.tensor.untyped_storage()._cdata: saved for saved in alive}
        sizes: Counter[str] = Counter()
        for storage in by_storage.keys() - self._excluded:
            sizes[by_storage[storage].module] += by_storage[storage].tensor.untyped_storage().nbytes()
        return sizes

    def _pack(self, tensor: Tensor) -> SavedTensor:
        saved = SavedTensor(tensor.detach(), max(self._modules.parents, key=len))
        self._saved.add(saved)
        return saved
