"""Assembles the UNet's conditioning: condition views first, then targets, each in its branch (sec. 4.2)."""

# Shapes: B object, K condition view, T target, V = K + T view, C latent channel, H and W latent size,
# L = K context token, D context width

from dataclasses import dataclass

import torch
from torch import Tensor

from models.network.multiview_unet import MultiViewUNet


@dataclass(frozen=True)
class Conditioning:
    """Inputs of the UNet besides noisy latents and timestep; `vars()` gives the keyword arguments of its forward."""

    condition_BVCHW: Tensor
    """Clean latents of the condition images; of the white image or of the first condition image for targets."""
    flag_BV: Tensor
    """Value of the branch channel: `condition_flag`, and 1 minus it for targets."""
    view_ids_BV: Tensor
    """Indices of the view embeddings."""
    embeds_BLD: Tensor
    """CLIP embeddings of the condition images."""
    view_mask_BV: Tensor | None
    """True where a view exists; None: everywhere."""
    embeds_mask_BL: Tensor | None
    """True where an embedding exists; None: everywhere."""


def assemble_conditioning(
    unet: MultiViewUNet,
    *,
    condition_latents_BKCHW: Tensor,
    embeds_BKD: Tensor,
    white_latent_CHW: Tensor,
    target_ids_BT: Tensor,
    num_conditions_B: Tensor | None = None,
    is_dropped_B: Tensor | None = None,
) -> Conditioning:
    """Put condition views with their clean latents before targets with that of the white image or of the reference.

    The empty condition of classifier-free guidance is zeros for both latents and embeddings; where the condition is
    dropped the reference is dropped too, so that the targets get the white image whatever `generation_input` is.

    Args:
        unet: Its config has the branch flag, the number of condition view embeddings, and `generation_input`.
        condition_latents_BKCHW: Scaled clean latents of the condition images.
        embeds_BKD: CLIP embeddings of the condition images.
        white_latent_CHW: Scaled latent of the white image with the all-ones mask.
        target_ids_BT: Ids of the targets, counted from the column of the first condition view.
        num_conditions_B: How many condition views each object has; the slots after them are padding. None: all K.
        is_dropped_B: True where the condition is the empty one; None: nowhere.
    """
    B, K, *shape = condition_latents_BKCHW.shape
    T, device = target_ids_BT.shape[1], target_ids_BT.device
    is_condition_V = torch.arange(K + T, device=device) < K
    flag = unet.config.condition_flag
    slots_K = torch.arange(K, device=device)
    is_filled_BK = None if num_conditions_B is None else slots_K < num_conditions_B[:, None]
    target_B1CHW = white_latent_CHW.expand(B, 1, *shape)
    if unet.config.generation_input == "reference":
        is_kept_B = torch.ones(B, dtype=torch.bool, device=device) if is_dropped_B is None else ~is_dropped_B
        target_B1CHW = torch.where(is_kept_B[:, None, None, None, None], condition_latents_BKCHW[:, :1], target_B1CHW)
    return Conditioning(
        condition_BVCHW=torch.cat([condition_latents_BKCHW, target_B1CHW.expand(B, T, *shape)], dim=1),
        flag_BV=torch.where(is_condition_V, flag, 1 - flag).expand(B, -1),
        view_ids_BV=torch.cat([slots_K.expand(B, K), unet.config.max_condition_views + target_ids_BT], dim=1),
        embeds_BLD=embeds_BKD,
        view_mask_BV=None if is_filled_BK is None else torch.cat([is_filled_BK, is_filled_BK.new_ones(B, T)], dim=1),
        embeds_mask_BL=is_filled_BK,
    )
