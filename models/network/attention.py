"""Who attends to whom: self-attention over every view of an object at once (sec. 4.2).

The weights are those of the single-image network; nothing is added, so one view alone is ordinary self-attention.
"""

# B object, V view, N token of one view, S token of an attention sequence, K token it attends to, L context token,
# C channel, H head, D = C / H

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries (B, H, S, D), keys and values (B, H, K, D) to outputs (B, H, S, D)."""


class MultiViewAttention:
    """Attention processor for a UNet2DConditionModel whose batch axis holds all views of all objects, (B V).

    Self-attention spans all views of an object, or each view alone when `across_views` is false (ablation).
    Cross-attention reads one context per object, (B, L, C'), so its keys and values are made once for all views.
    `chunk`: queries and keys at a time, where torch has no kernel that keeps the scores out of memory; None: all.
    `kernel`: computes in place of torch's where nothing is masked.
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
        """Attend with tokens `hidden_states` ((B V), N, C), in self-attention when no context is given.

        The masks are true where there is something to see; None means everywhere and keeps the fast kernels.
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
    """The projections of a diffusers Attention around `kernel`."""
    heads = (attention.heads, -1)
    query_BHSD = attention.to_q(tokens_BSC).unflatten(-1, heads).transpose(1, 2)
    key_BHKD = attention.to_k(context_BKC).unflatten(-1, heads).transpose(1, 2)
    value_BHKD = attention.to_v(context_BKC).unflatten(-1, heads).transpose(1, 2)
    out_BHSD = kernel(query_BHSD, key_BHKD, value_BHKD)
    projection, dropout = attention.to_out
    out_BSC: Tensor = dropout(projection(out_BHSD.transpose(1, 2).flatten(2)))
    return out_BSC


def attend_to_one(attention: Any, context_B1C: Tensor, num_views: int) -> Tensor:
    """What any token gets from a context of one token, ((B V), 1, C): its weight is 1, so nobody asks a query.

    The weights that make queries get no gradient then; a softmax over one score would give them zeros.
    """
    projection, dropout = attention.to_out
    out_B1C: Tensor = dropout(projection(attention.to_v(context_B1C)))
    return out_B1C.repeat_interleave(num_views, dim=0)


def attend_in_chunks(
    query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor, mask_B11K: Tensor | None, chunk: int
) -> Tensor:
    """Exact attention with never more than S x `chunk` scores at once (online softmax, Milakov and Gimelshein 2018).

    A chunk of keys in which a query sees nothing adds nothing; each query must see one key somewhere.
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
        reference_BHS1 = new_BHS1.masked_fill(new_BHS1.isinf(), 0)  # nothing seen yet: any will do
        shrink_BHS1 = (highest_BHS1 - reference_BHS1).exp()
        weights_BHSK = (scores_BHSK - reference_BHS1).exp()
        total_BHS1 = total_BHS1 * shrink_BHS1 + weights_BHSK.sum(dim=-1, keepdim=True)
        sum_BHSD = sum_BHSD * shrink_BHS1 + weights_BHSK @ value_BHKD[:, :, keys].float()
        highest_BHS1 = new_BHS1
    return (sum_BHSD / total_BHS1).to(query_BHSD)
