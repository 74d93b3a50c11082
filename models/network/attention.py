"""Global attention: self-attention over the tokens of all views of an object at once (sec. 4.2).

It uses the weights of the single-image network and adds none, so with one view it is ordinary self-attention. Spans
other than the paper's, of all views, are for levels where all views cost too much.
"""

# Shapes: B object, V view, N token of one view, S query token, K key token, L context token, C channel, H head,
# D = C / H head width, M view of a window, R row of tokens, W token of a row

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from models.config import Span
from models.network.near_views import Windows

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Computes attention outputs (B, H, S, D) from queries (B, H, S, D), keys and values (B, H, K, D)."""


class MultiViewAttention:
    """Attention processor for a UNet2DConditionModel whose batch axis holds all views of all objects, (B V).

    Cross-attention reads one context per object, (B, L, C'), so its keys and values are computed once for all views.

    Args:
        span: What self-attention spans: "all" views of an object (the paper), the "rows" of all views at the same
            height (Era3D), the "near" views (models.network.near_views), or "none" but the view itself.
        chunk: Number of queries and keys at a time, for devices without a memory-efficient kernel; None: all at once.
        kernel: Replaces torch's attention kernel where nothing is masked; None: torch's.
        takes_masks: `kernel` replaces it where something is masked too, and does without the mask.
    """

    def __init__(
        self, span: Span, *, chunk: int | None = None, kernel: Kernel | None = None, takes_masks: bool = False
    ) -> None:
        self.span = span
        self.chunk = chunk
        self.kernel = kernel
        self.takes_masks = takes_masks

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
        windows: Windows | None = None,
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
            windows: The near views of each view, for the span "near".

        Returns:
            ((B V), N, C).
        """
        assert attention_mask is None, "masks travel as view_mask_BV and embeds_mask_BL"
        if encoder_hidden_states is not None:
            if encoder_hidden_states.shape[1] == 1:
                return attend_to_one(attention, encoder_hidden_states, num_views).expand_as(hidden_states)
            joined_BSC = joined_views(hidden_states, num_views)
            return self._attend(attention, joined_BSC, encoder_hidden_states, embeds_mask_BL).reshape(
                hidden_states.shape
            )
        if self.span == "none":
            return self._attend(attention, hidden_states, hidden_states, None)
        if self.span == "near":
            assert windows is not None, "the span near needs windows"
            return self._attend_near(attention, hidden_states, num_views, windows)
        if self.span == "rows":
            return self._attend_rows(attention, hidden_states, num_views, view_mask_BV)
        joined_BSC = joined_views(hidden_states, num_views)
        mask_BK = None if view_mask_BV is None else view_mask_BV.repeat_interleave(hidden_states.shape[1], dim=1)
        return self._attend(attention, joined_BSC, joined_BSC, mask_BK).reshape(hidden_states.shape)

    def _attend_rows(self, attention: Any, tokens: Tensor, num_views: int, view_mask_BV: Tensor | None) -> Tensor:
        """Attend along the rows of all views at one height."""
        side = math.isqrt(tokens.shape[1])
        mask_BK = view_mask_BV
        if mask_BK is not None:
            mask_BK = mask_BK.repeat_interleave(side, dim=0).repeat_interleave(side, dim=1)
        rows_BSC = rows_of_views(tokens, num_views)
        return views_of_rows(self._attend(attention, rows_BSC, rows_BSC, mask_BK), num_views)

    def _attend(self, attention: Any, tokens_BSC: Tensor, context_BKC: Tensor, mask_BK: Tensor | None) -> Tensor:
        mask_B11K = None if mask_BK is None else mask_BK[:, None, None, :]
        return attend(attention, tokens_BSC, context_BKC, partial(self._kernel, mask_B11K=mask_B11K))

    def _attend_near(self, attention: Any, tokens: Tensor, num_views: int, windows: Windows) -> Tensor:
        """Queries of each view with keys and values of the views of its window, projected before they are gathered."""
        num_tokens = tokens.shape[1]

        def kernel(query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor) -> Tensor:
            keys, values = (gathered(each, num_views, windows.index_BVM) for each in (key_BHKD, value_BHKD))
            mask_BK = windows.mask_BVM.flatten(0, 1).repeat_interleave(num_tokens, dim=1)
            return self._kernel(query_BHSD, keys, values, mask_B11K=mask_BK[:, None, None, :])

        return attend(attention, tokens, tokens, kernel)

    def _kernel(self, query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor, *, mask_B11K: Tensor | None) -> Tensor:
        if self.kernel is not None and (mask_B11K is None or self.takes_masks):
            return self.kernel(query_BHSD, key_BHKD, value_BHKD)
        if self.chunk is None:
            return scaled_dot_product_attention(query_BHSD, key_BHKD, value_BHKD, attn_mask=mask_B11K)
        parts = torch.split(query_BHSD, self.chunk, dim=2)
        return torch.cat([attend_in_chunks(part, key_BHKD, value_BHKD, mask_B11K, self.chunk) for part in parts], dim=2)


def joined_views(tokens: Tensor, num_views: int) -> Tensor:
    """Put the tokens of an object's views into one sequence: ((B V), N, C) to (B, V N, C)."""
    return tokens.reshape(-1, num_views * tokens.shape[1], tokens.shape[2])


def rows_of_views(tokens: Tensor, num_views: int) -> Tensor:
    """Put each row of all views into one sequence: ((B V), N, C) to ((B R), V W, C); the latents are square."""
    side = math.isqrt(tokens.shape[1])
    rows_BVRWC = tokens.reshape(-1, num_views, side, side, tokens.shape[2])
    return rows_BVRWC.transpose(1, 2).reshape(-1, num_views * side, tokens.shape[2])


def views_of_rows(tokens: Tensor, num_views: int) -> Tensor:
    """Undo `rows_of_views`."""
    side = tokens.shape[1] // num_views
    rows_BRVWC = tokens.reshape(-1, side, num_views, side, tokens.shape[2])
    return rows_BRVWC.transpose(1, 2).reshape(-1, side * side, tokens.shape[2])


def gathered(heads: Tensor, num_views: int, index_BVM: Tensor) -> Tensor:
    """Take the tokens of other views for each view: ((B V), H, N, D) to ((B V), H, M N, D)."""
    views = heads.view(-1, num_views, *heads.shape[1:])
    objects = torch.arange(len(views), device=heads.device)[:, None, None]
    return views[objects, index_BVM].transpose(2, 3).flatten(0, 1).flatten(2, 3)


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
