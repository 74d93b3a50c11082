"""torch.compile, with its choice of layouts where a small network has shown that gradients stay right."""

import logging
from typing import Any

import torch
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from torch import Tensor, nn

from models.network.initialization import seeded_weights
from models.network.multiview_unet import MultiViewUNet

RECOMPILE_LIMIT = 64
"""Graphs that torch may keep of a network. Its own limit of 8 is reached by a training of stage 3 with validation: one
or several samples, one or several condition views, both modes, kept and all targets. Beyond it calls run uncompiled."""
LARGEST_ERROR = 0.1
"""Of a weight's gradient beside the plain network's; rounding to bfloat16 leaves a hundredth, a lost gradient is off by
one."""
logger = logging.getLogger(__name__)


def compile_in_place(network: nn.Module, *, graphs: bool = False, layouts: bool = False) -> None:
    """Compile `network` at its first call with each new input shape; its parameters stay the same objects.

    Args:
        network: Without `layouts` its weights must be contiguous: channels-last ones lose gradients on a processor.
        graphs: Replay CUDA graphs, which saves kernel launches where kernels are small.
        layouts: Keep weights and images channels-last, as convolutions on cards want them. On a processor torch 2.13
            then loses gradients: those of whole convolutions of a plain UNet2DConditionModel become zero
            (infra/decisions/0012).
    """
    torch._dynamo.config.recompile_limit = max(RECOMPILE_LIMIT, torch._dynamo.config.recompile_limit)
    if layouts:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    options: dict[str, Any] = {"layout_optimization": layouts} | ({"triton.cudagraphs": True} if graphs else {})
    network.compile(options=options)


def parts_of(unet: MultiViewUNet) -> list[nn.Module]:
    """Return the blocks of a UNet, to be compiled one by one where several ranks train.

    A compiled graph gives all its gradients at the end of its backward pass; those of a block can be summed over the
    ranks while the next block computes (models.training.gradient_sums).
    """
    base = unet.base
    return [*base.down_blocks, base.mid_block, *base.up_blocks]


def may_choose_layouts(device: torch.device) -> bool:
    """Whether torch may choose layouts on `device`: on cards where a small network's gradients stay right.

    It is compiled to find out; where they do not, a warning says so.
    """
    if device.type == "cpu":
        return False
    error = gradient_error(device, layouts=True)
    if error > LARGEST_ERROR:
        logger.warning(
            "torch.compile keeps the layouts as they are: with its own choice a gradient on %s is off by %.0f %%",
            device,
            100 * error,
        )
    return error <= LARGEST_ERROR


def gradient_error(device: torch.device, *, layouts: bool, width: int = 128, side: int = 16) -> float:
    """Return by how much compiling changes the gradient of a convolution of a small network, relative to its norm.

    The largest of all its convolutions and matrices under autocast to bfloat16, as trainings compute on cards.

    Args:
        device: Where it computes.
        layouts: As for `compile_in_place`.
        width: Channels at the finer level, a multiple of 32; more than 64, or torch chooses no layouts on cards.
        side: Pixels of its input.
    """
    with seeded_weights(0):
        network = TwoLevels(width)
        inputs = torch.randn(2, 9, side, side), torch.randn(2, 64)
    network.to(device)
    on_device = [each.to(device) for each in inputs]
    plain = _gradients(network, on_device)
    compile_in_place(network, layouts=layouts)
    compiled = _gradients(network, on_device)
    return max(float((one - other).norm() / other.norm()) for one, other in zip(compiled, plain, strict=True))


class TwoLevels(nn.Module):
    """The smallest part of a UNet whose gradients torch's own choice of layouts loses on a processor.

    Args:
        width: Channels at the finer level; groups of norms have an eighth of them at most.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"temb_channels": 64, "groups": 8}
        self.first = nn.Conv2d(9, width, 3, padding=1)
        self.above = ResnetBlock2D(in_channels=width, out_channels=width, **sizes)
        self.down = Downsample2D(width, use_conv=True)
        self.below = ResnetBlock2D(in_channels=width, out_channels=2 * width, **sizes)
        self.up = Upsample2D(2 * width, use_conv=True)
        self.joined = ResnetBlock2D(in_channels=3 * width, out_channels=width, **sizes)
        self.last = nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, latents: Tensor, embedding: Tensor) -> Tensor:
        """Return (B, 4, H, W) of latents (B, 9, H, W) and embeddings (B, 64)."""
        above = self.above(self.first(latents), embedding)
        below = self.up(self.below(self.down(above), embedding))
        output: Tensor = self.last(self.joined(torch.cat([above, below], dim=1), embedding))
        return output


def _gradients(network: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """The gradients of all weights but vectors, whose small ones rounding changes much."""
    with torch.autocast(inputs[0].device.type, torch.bfloat16):
        loss = network(*inputs).float().square().mean()
    loss.backward()
    gradients = [weight.grad.float() for weight in network.parameters() if weight.grad is not None and weight.dim() > 1]
    network.zero_grad()
    return gradients
