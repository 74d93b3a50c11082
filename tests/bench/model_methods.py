"""How public multi-view networks let views see each other, rebuilt from their descriptions on the same UNet.

Each is an attention processor like `models.network.attention.MultiViewAttention` and takes the same keywords.
"""

# B object, V view, N token of one view, S token of a sequence, K token it attends to, C channel, H head, D = C / H

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.config import Span
from models.network.attention import Kernel, MultiViewAttention, attend


def with_scores(query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor) -> Tensor:
    """The scores as a matrix, as the first implementations have it."""
    scores_BHSK = query_BHSD @ key_BHKD.mT * query_BHSD.shape[-1] ** -0.5
    return scores_BHSK.softmax(dim=-1) @ value_BHKD


class PeerAttention:
    """Self-attention as `arrange` says; cross-attention view by view, with the context repeated for each."""

    def __init__(self, arrange: str, kernel: Kernel = scaled_dot_product_attention) -> None:
        self.arrange = arrange
        self.kernel = kernel

    def __call__(
        self,
        attention: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        num_views: int,
        view_mask_BV: Tensor | None = None,
        embeds_mask_BL: Tensor | None = None,
    ) -> Tensor:
        """Attend with ((B V), N, C)."""
        assert attention_mask is None
        assert view_mask_BV is None
        assert embeds_mask_BL is None
        if encoder_hidden_states is not None:
            context = encoder_hidden_states.repeat_interleave(num_views, dim=0)
            return attend(attention, hidden_states, context, self.kernel)
        tokens, width = hidden_states.shape[1:]
        if self.arrange == "view":
            return attend(attention, hidden_states, hidden_states, self.kernel)
        if self.arrange == "object":
            joined = hidden_states.reshape(-1, num_views * tokens, width)
            return attend(attention, joined, joined, self.kernel).reshape(hidden_states.shape)
        if self.arrange == "object, keys per view":
            joined = hidden_states.reshape(-1, num_views * tokens, width)
            return attend(attention, hidden_states, joined.repeat_interleave(num_views, dim=0), self.kernel)
        assert self.arrange == "row"
        side = round(tokens**0.5)
        rows = hidden_states.reshape(-1, num_views, side, side, width).transpose(1, 2)
        flat = rows.reshape(-1, num_views * side, width)
        out = attend(attention, flat, flat, self.kernel).reshape(rows.shape)
        return out.transpose(1, 2).reshape(hidden_states.shape)


METHODS: dict[str, Callable[[], Any]] = {
    "ours": lambda: MultiViewAttention("all"),
    "MVDream, fused kernel": lambda: PeerAttention("object"),
    "MVDream, as published": lambda: PeerAttention("object", with_scores),
    "Wonder3D": lambda: PeerAttention("object, keys per view"),
    "Era3D, rows": lambda: PeerAttention("row"),
    "each view alone": lambda: PeerAttention("view"),
}
LEVELS: dict[str, tuple[Span, ...]] = {
    "ours, rows at the finest level": ("rows", "all", "all", "all"),
    "ours, near views at the finest level": ("near", "all", "all", "all"),
    "ours, each view alone at the finest level": ("none", "all", "all", "all"),
    "ours, all views at the coarsest level alone": ("none", "none", "none", "all"),
}
"""Choices of `global_attention`, the finest level first."""
ALL_VIEWS = ("MVDream, fused kernel", "MVDream, as published", "Wonder3D")
"""Those whose views see all of each other, so that they compute what ours does."""


def outputs_agree(first: Tensor, second: Tensor) -> bool:
    """Whether two networks compute the same, but for rounding."""
    return bool((first - second).abs().max() <= 1e-3 * second.abs().max() + 1e-5) or torch.equal(first, second)
