"""What the mask-aware VAE is trained on (sec. 5.4): LDM's loss, with binary cross-entropy on the mask.

LDM sums over the 3 * H * W values of an image; here everything is divided by that number, so that learning
rates and gradient clipping do not depend on the image size. The minimum is the same.
"""

# B image, H and W size; images and decoded hold RGB and mask, (B, 4, H, W)

from pathlib import Path

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from models.config import MaskVAEConfig
from models.losses.lpips import LPIPS


class VAELoss(nn.Module):
    """Holds the perceptual network and the patch discriminator, when `config` weighs them; else None."""

    def __init__(self, config: MaskVAEConfig) -> None:
        """Raises ValueError when LPIPS is wanted without weights."""
        super().__init__()
        self.config = config
        self.perceptual = _perceptual(config)
        self.discriminator = patch_discriminator() if config.discriminator_weight > 0 else None

    def generator(
        self,
        images: Tensor,
        decoded: Tensor,
        posterior: DiagonalGaussianDistribution,
        *,
        step: int,
        last_layer: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of encoder and decoder, and its parts, detached, by name.

        images: `to_vae_input`; decoded: the decoder's output, whose fourth channel is a logit.
        last_layer: weight of the decoder's last convolution, where the adversarial term is balanced.
        """
        parts = self._reconstruction(images, decoded)
        reconstruction = torch.stack(list(parts.values())).sum()
        parts["kl"] = self.config.kl_weight * posterior.kl().mean() / images[0, :3].numel()
        loss = reconstruction + parts["kl"]
        if self.is_adversarial(step):
            parts["adversarial"] = self._adversarial(images, decoded, reconstruction, last_layer)
            loss = loss + parts["adversarial"]
        return loss, {name: part.detach() for name, part in parts.items()}

    def discriminate(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Hinge loss of the discriminator on the `decoded` of this step; nothing flows back to the VAE."""
        assert self.discriminator is not None
        real, fake = self.discriminator(images), self.discriminator(_as_input(decoded).detach())
        return 0.5 * (relu(1 - real).mean() + relu(1 + fake).mean())

    def is_adversarial(self, step: int) -> bool:
        """Whether the discriminator takes part in optimizer step `step`."""
        return self.discriminator is not None and step >= self.config.discriminator_start

    def _reconstruction(self, images: Tensor, decoded: Tensor) -> dict[str, Tensor]:
        rgb, mask = images[:, :3], (images[:, 3] + 1) / 2
        parts = {
            "l1": (rgb - decoded[:, :3]).abs().mean(),
            "mask": self.config.mask_weight * binary_cross_entropy_with_logits(decoded[:, 3], mask),
        }
        if self.perceptual is not None:
            parts["lpips"] = self.config.perceptual_weight * self.perceptual(rgb, decoded[:, :3]).mean()
        return parts

    def _adversarial(self, images: Tensor, decoded: Tensor, reconstruction: Tensor, last_layer: Tensor) -> Tensor:
        """Weighted so that both terms pull equally hard at the last layer (Esser et al. 2021, eq. 7)."""
        assert self.discriminator is not None
        fooling = -self.discriminator(_as_input(decoded)).mean()
        (wanted,) = torch.autograd.grad(reconstruction, last_layer, retain_graph=True)
        (pull,) = torch.autograd.grad(fooling, last_layer, retain_graph=True)
        # LDM's bounds, the upper one for means instead of sums
        balance = (wanted.norm() / (pull.norm() + 1e-4)).clamp(max=1e4 / images[0, :3].numel()).detach()
        return self.config.discriminator_weight * balance * fooling


def patch_discriminator(in_channels: int = 4, width: int = 64, num_levels: int = 3) -> nn.Sequential:
    """PatchGAN (Isola et al. 2017) as in LDM: one logit per patch of 70 pixels, on RGB and mask in [-1, 1]."""
    layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    channels = width
    for level in range(1, num_levels + 1):
        wider, stride = width * min(2**level, 8), 2 if level < num_levels else 1
        layers += [nn.Conv2d(channels, wider, 4, stride, 1, bias=False), nn.BatchNorm2d(wider), nn.LeakyReLU(0.2)]
        channels = wider
    return nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 1, 1)).apply(_initialize)


def _initialize(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def _as_input(decoded: Tensor) -> Tensor:
    """The decoder's output in the form of its input: the logit as a mask in [-1, 1]."""
    return torch.cat([decoded[:, :3], 2 * decoded[:, 3:].sigmoid() - 1], dim=1)


def _perceptual(config: MaskVAEConfig) -> LPIPS | None:
    if config.perceptual_weight == 0:
        return None
    if config.lpips_weights is None:
        raise ValueError(
            f"perceptual_weight is {config.perceptual_weight} but lpips_weights is null; "
            "name a file with VGG16's weights, or set perceptual_weight to 0"
        )
    return LPIPS(Path(config.lpips_weights))
