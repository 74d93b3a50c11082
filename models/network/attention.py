"""Global attention: self-attention over the tokens of all views of an object at once (sec. 4.2).

It uses the weights of the single-image network and adds none, so with one view it is ordinary self-attention.
"""

# Shapes: B object, V view, N token of one view, S query token, K key token, L context token, C channel, H head,
# D = C / H head width

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Computes attention outputs (B, H, S, D) from queries (B, H, S, D), keys and values (B, H, K, D)."""


class MultiViewAttention:
    """Attention processor for a UNet2DConditionModel whose batch axis holds all views of all objects, (B V).

    Cross-attention reads one context per object, (B, L, C'), so its keys and values are computed once for all views.

    Args:
        across_views: Self-attention spans all views of an object; false: each view alone (ablation).
        chunk: Number of queries and keys at a time, for devices without a memory-efficient kernel; None: all at once.
        kernel: Replaces torch's attention kernel where nothing is masked; None: torch's.
    """

    def __init__(self, *, across_views: bool, chunk: int | None = None, kernel: Kernel | None = None) -> None:
        self.across_views = across_views
        self.chunk = chunk
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
        """Compute self-attention, or cross-attention when a context is given; diffusers' processor interface.

        Args:
            attention: The diffusers Attention module with the projections.
            hidden_states: ((B V), N, C) tokens.
            encoder_hidden_states: (B, L, C') context of each object; None for self-attention.
            attention_mask: Must be None.
            num_views: V.
            view_mask_BV: True where a view exists; None: everywhere, which keeps the fast kernels.
            embeds_mask_BL: True where a context token exists; None: everywhere.

        Returns:
            ((B V), N, C).
        """
        assert attention_mask is None, "masks travel as view_mask_BV and embeds_mask_BL"
        _, num_tokens, width = hidden_states.shape
        if encoder_hidden_states is not None and encoder_hidden_states.shape[1] == 1:
            return attend_to_one(attention, encoder_hidden_states, num_views).expand_as(hidden_states)
        tokens_BSC, mask_BK = hidden_states, embeds_mask_BL
        if self.across_views or encoder_hidden_states is not None:
            tokens_BSC = hidden_states.reshape(-1, num_views * num_tokens, width)
        if encoder_hidden_states is None:
            encoder_hidden_states = tokens_BSC
            mask_BK = view_mask_BV if self.across_views else None
            mask_BK = None if mask_BK is None else mask_BK.repeat_interleave(num_tokens, dim=1)
        mask_B11K = None if mask_BK is None else mask_BK[:, None, None, :]
        out_BSC = attend(attention, tokens_BSC, encoder_hidden_states, partial(self._kernel, mask_B11K=mask_B11K))
        return out_BSC.reshape(hidden_states.shape)

    def _kernel(self, query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor, *, mask_B11K: Tensor | None) -> Tensor:
        if self.kernel is not None and mask_B11K is None:
            return self.kernel(query_BHSD, key_BHKD, value_BHKD)
        if self.chunk is None:
            return scaled_dot_product_attention(query_BHSD, key_BHKD, value_BHKD, attn_mask=mask_B11K)
        parts = torch.split(query_BHSD, self.chunk, dim=2)
        return torch.cat([attend_in_chunks(part, key_BHKD, value_BHKD, mask_B11K, self.chunk) for part in parts], dim=2)


def attend(attention: Any, tokens_BSC: Tensor, context_BKC: Tensor, kernel: Kernel) -> Tensor:
    """Project to queries, keys and values, compute `kernel`, and project the outputs (B, S, C)."""
    heads = (attention.heads, -1)
    query_BHSD = attention.to_q(tokens_BSC).unflatten(-1, heads).transpose(1, 2)
    key_BHKD = attention.to_k(context_BKC).unflatten(-1, heads).transpose(1, 2)
    value_BHKD = attention.to_v(context_BKC).unflatten(-1, heads).transpose(1, 2)
    out_BHSD = kernel(query_BHSD, key_BHKD, value_BHKD)
    projection, dropout = attention.to_out
    out_BSC: Tensor = dropout(projection(out_BHSD.transpose(1, 2).flatten(2)))
    return out_BSC


def attend_to_one(attention: Any, context_B1C: Tensor, num_views: int) -> Tensor:
    """Attention output ((B V), 1, C) of every token for a context of one token, whose softmax weight is always 1.

    Queries are not computed, so their projection gets no gradient; the softmax over one score would give it zeros.
    """
    projection, dropout = attention.to_out
    out_B1C: Tensor = dropout(projection(attention.to_v(context_B1C)))
    return out_B1C.repeat_interleave(num_views, dim=0)


def unasked_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Parameters that reach no output where every context has one token: queries, keys and their norms.

    Args:
        network: A UNet of diffusers' BasicTransformerBlocks whose cross-attention is `attend_to_one`.
    """
    blocks = [module for module in network.modules() if isinstance(module, BasicTransformerBlock)]
    unasked = [part for block in blocks for part in (block.norm2, block.attn2.to_q, block.attn2.to_k)]
    return [weight for part in unasked for weight in part.parameters()]


def attend_in_chunks(
    query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor, mask_B11K: Tensor | None, chunk: int
) -> Tensor:
    """Exact attention over chunks of keys, S x `chunk` scores at a time (online softmax, Milakov and Gimelshein 2018).

    A chunk that is masked for a query adds nothing to it; each query must see at least one key.
    """
    scale = query_BHSD.shape[-1] ** -0.5
    highest_BHS1 = query_BHSD.new_full((*query_BHSD.shape[:-1], 1), -torch.inf, dtype=torch.float32)
    total_BHS1, sum_BHSD = torch.zeros_like(highest_BHS1), torch.zeros_like(query_BHSD, dtype=torch.float32)
    for start in range(0, key_BHKD.shape[2], chunk):
        keys = slice(start, start + chunk)
        scores_BHSK = (query_BHSD @ key_BHKD[:, :, keys].mT).float() * scale
        if mask_B11K is not None:
            scores_BHSK = scores_BHSK.masked_fill(~mask_B11K[..., keys], -torch.inf)
        new_BHS1 = torch.maximum(highest_BHS1, scores_BHSK.amax(dim=-1, keepdim=True).detach())
        reference_BHS1 = new_BHS1.masked_fill(new_BHS1.isinf(), 0)  # all masked so far: any finite value serves
        shrink_BHS1 = (highest_BHS1 - reference_BHS1).exp()
        weights_BHSK = (scores_BHSK - reference_BHS1).exp()
        total_BHS1 = total_BHS1 * shrink_BHS1 + weights_BHSK.sum(dim=-1, keepdim=True)
        sum_BHSD = sum_BHSD * shrink_BHS1 + weights_BHSK @ value_BHKD[:, :, keys].float()
        highest_BHS1 = new_BHS1
    return (sum_BHSD / total_BHS1).to(query_BHSD)
