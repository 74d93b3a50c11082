"""How condition views and targets of an object stand side by side in front of the UNet (sec. 4.2)."""

# B object, K condition view, T target, V = K + T, C latent channel, H and W latent size, L = K embedding, D width

from dataclasses import dataclass

import torch
from torch import Tensor

from models.network.multiview_unet import MultiViewUNet


@dataclass(frozen=True)
class Conditioning:
    """All that the UNet sees besides noise and time; condition views come first. `vars()` gives its keywords."""

    condition_BVCHW: Tensor
    flag_BV: Tensor
    view_ids_BV: Tensor
    embeds_BLD: Tensor
    view_mask_BV: Tensor | None
    embeds_mask_BL: Tensor | None


def assemble(
    unet: MultiViewUNet,
    *,
    condition_latents_BKCHW: Tensor,
    embeds_BKD: Tensor,
    white_latent_CHW: Tensor,
    target_ids_BT: Tensor,
    num_conditions_B: Tensor | None = None,
) -> Conditioning:
    """Condition views with their clean latents, then targets with the latent of the white image.

    num_conditions_B: how many condition views each object has; the slots after them are padding.
    None when every object fills all K slots.
    The empty condition of classifier-free guidance is zeros for both latents and embeddings.
    """
    B, K, *shape = condition_latents_BKCHW.shape
    T, device = target_ids_BT.shape[1], target_ids_BT.device
    is_condition_V = torch.arange(K + T, device=device) < K
    flag = unet.config.condition_flag
    slots_K = torch.arange(K, device=device)
    is_filled_BK = None if num_conditions_B is None else slots_K < num_conditions_B[:, None]
    return Conditioning(
        condition_BVCHW=torch.cat([condition_latents_BKCHW, white_latent_CHW.expand(B, T, *shape)], dim=1),
        flag_BV=torch.where(is_condition_V, flag, 1 - flag).expand(B, -1),
        view_ids_BV=torch.cat([slots_K.expand(B, K), unet.config.max_condition_views + target_ids_BT], dim=1),
        embeds_BLD=embeds_BKD,
        view_mask_BV=None if is_filled_BK is None else torch.cat([is_filled_BK, is_filled_BK.new_ones(B, T)], dim=1),
        embeds_mask_BL=is_filled_BK,
    )
