"""Gradient checkpointing of the feed-forward layers alone (Chen et al. 2016), which keep most for what they compute.

A GEGLU feed-forward keeps seventeen numbers for each channel of a token and takes a small share of the operations; a
recomputed one keeps its input.
"""

from typing import Any

from diffusers.models.attention import BasicTransformerBlock, FeedForward
from torch import Tensor, is_grad_enabled
from torch.utils.checkpoint import checkpoint

from models.network.multiview_unet import MultiViewUNet, level_of


class RecomputedFeedForward(FeedForward):
    """A FeedForward that computes its activations again in the backward pass."""

    def forward(self, hidden_states: Tensor, *args: Any, **settings: Any) -> Tensor:
        """Return what a FeedForward does."""
        if not (self.training and is_grad_enabled()):
            return super().forward(hidden_states, *args, **settings)
        output: Tensor = checkpoint(super().forward, hidden_states, *args, use_reentrant=False, **settings)
        return output


def recompute_feed_forward(unet: MultiViewUNet) -> None:
    """Switch gradient checkpointing on for the feed-forward layers of all levels that are not recomputed whole.

    Call it after `MultiViewUNet.recompute_levels`; the weights stay as they are.
    """
    whole, num_levels = unet.recomputed_levels, len(unet.base.down_blocks)
    for name, module in unet.base.named_modules():
        if isinstance(module, BasicTransformerBlock) and level_of(name, num_levels) not in whole:
            module.ff.__class__ = RecomputedFeedForward


def has_recomputed_feed_forward(unet: MultiViewUNet) -> bool:
    """Whether `recompute_feed_forward` was called."""
    return any(isinstance(module, RecomputedFeedForward) for module in unet.modules())
