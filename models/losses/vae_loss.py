"""The loss of the mask-aware VAE (sec. 5.4): LDM's loss, with binary cross-entropy on the mask.

LDM sums over the 3 * H * W values of an image; here everything is divided by that number, so that learning
rates and gradient clipping do not depend on the image size. The minimum is the same. On request the L1 weighs the
object's pixels more than the white around it (`object_weight`).
"""

# Shapes: B image, H and W image size; 4 channels are RGB and mask, 3 where the VAE has no mask channel

from pathlib import Path

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from models.config import MaskVAEConfig
from models.losses.lpips import build_lpips
from models.losses.perceptual import PerceptualDistance

NORM_GROUPS = 32
"""Groups of the discriminator's norms, as Wu and He have and as in the VAE."""


class VAELoss(nn.Module):
    """L1, LPIPS, mask cross-entropy, KL and adversarial loss, with the networks that they need.

    Args:
        config: The weights of the terms; a term of weight 0 has no network.

    Raises:
        ValueError: LPIPS has a weight but no file of VGG16's weights.
    """

    def __init__(self, config: MaskVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.perceptual = _perceptual(config)
        is_adversarial = config.discriminator_weight > 0
        self.discriminator = patch_discriminator(config.vae.image_channels) if is_adversarial else None

    def generator(
        self,
        images_B4HW: Tensor,
        decoded_B4HW: Tensor,
        posterior: DiagonalGaussianDistribution,
        *,
        adaptive_weight: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of encoder and decoder, a mean over the images.

        Args:
            images_B4HW: Colours on white and mask in [-1, 1] (models.network.mask_vae.to_vae_input).
            decoded_B4HW: The decoder's output, whose fourth channel is a logit; without a mask channel there are three.
            posterior: The encoder's output.
            adaptive_weight: Factor of the adversarial term (`adaptive_weight` of this module); None: without that term.

        Returns:
            The loss, and its weighted terms, detached, by name: l1, mask, lpips, kl, adversarial.
        """
        terms = self._reconstruction(images_B4HW, decoded_B4HW)
        reconstruction = torch.stack(list(terms.values())).sum()
        terms["kl"] = self.config.kl_weight * posterior.kl().mean() / images_B4HW[0, :3].numel()
        loss = reconstruction + terms["kl"]
        if adaptive_weight is not None:
            terms["adversarial"] = self.config.discriminator_weight * adaptive_weight * self._adversarial(decoded_B4HW)
            loss = loss + terms["adversarial"]
        return loss, {name: term.detach() for name, term in terms.items()}

    def gradients_at(self, last_layer: Tensor, images_B4HW: Tensor, decoded_B4HW: Tensor) -> Tensor:
        """Gradients (2, N) of the reconstruction and of the unweighted adversarial loss for the N numbers of a weight.

        Both are means over the images, so those of a batch are the mean of its parts' by their numbers of images.

        Args:
            last_layer: Weight of the decoder's last convolution.
            images_B4HW: As in `generator`.
            decoded_B4HW: As in `generator`.
        """
        reconstruction = torch.stack(list(self._reconstruction(images_B4HW, decoded_B4HW).values())).sum()
        losses = (reconstruction, self._adversarial(decoded_B4HW))
        gradients = [torch.autograd.grad(loss, last_layer, retain_graph=True)[0].flatten() for loss in losses]
        return torch.stack(gradients).float()

    def discriminate(self, images_B4HW: Tensor, decoded_B4HW: Tensor) -> Tensor:
        """Hinge loss of the discriminator; no gradient flows back to the VAE. Arguments as in `generator`."""
        assert self.discriminator is not None
        images = images_B4HW[:, : self.config.vae.image_channels]
        real, fake = self.discriminator(images), self.discriminator(_as_input(decoded_B4HW).detach())
        return 0.5 * (relu(1 - real).mean() + relu(1 + fake).mean())

    def is_adversarial(self, step: int) -> bool:
        """Whether the adversarial terms apply in optimizer step `step`, from 0."""
        return self.discriminator is not None and step >= self.config.discriminator_start

    def _reconstruction(self, images_B4HW: Tensor, decoded_B4HW: Tensor) -> dict[str, Tensor]:
        rgb_B3HW, decoded_B3HW = images_B4HW[:, :3], decoded_B4HW[:, :3]
        mask_BHW = (images_B4HW[:, 3] + 1) / 2
        weight_B1HW = (1 + (self.config.object_weight - 1) * mask_BHW)[:, None]
        terms = {"l1": ((rgb_B3HW - decoded_B3HW).abs() * weight_B1HW).mean()}
        if self.config.vae.mask_channel:
            cross_entropy = binary_cross_entropy_with_logits(decoded_B4HW[:, 3], mask_BHW)
            terms["mask"] = self.config.mask_weight * cross_entropy
        if self.perceptual is not None:
            terms["lpips"] = self.config.perceptual_weight * self.perceptual(rgb_B3HW, decoded_B3HW).mean()
        return terms

    def _adversarial(self, decoded_B4HW: Tensor) -> Tensor:
        """Generator's loss, unweighted."""
        assert self.discriminator is not None
        score: Tensor = self.discriminator(_as_input(decoded_B4HW))
        return -score.mean()


def adaptive_weight(gradients_2N: Tensor, num_values: int) -> Tensor:
    """Weight with which the adversarial loss pulls at the last layer as hard as the reconstruction.

    Esser et al. 2021, eq. 7, with LDM's bounds, the upper one for means instead of sums.

    Args:
        gradients_2N: `VAELoss.gradients_at` over the whole batch.
        num_values: Colour values of an image, 3 * H * W.

    Returns:
        A scalar.
    """
    reconstruction, adversarial = gradients_2N.norm(dim=1)
    return (reconstruction / (adversarial + 1e-4)).clamp(max=1e4 / num_values)


def patch_discriminator(in_channels: int = 4, width: int = 64, num_levels: int = 3) -> nn.Sequential:
    """Build PatchGAN's discriminator (Isola et al. 2017): one logit per patch of 70 x 70 pixels.

    It is LDM's but for the norm: GroupNorm (Wu and He 2018) instead of BatchNorm, whose statistics would be those of a
    micro-batch (infra/decisions/0031-discriminator-without-batch-statistics.md).

    Args:
        in_channels: RGB and mask, in [-1, 1].
        width: Channels after the first convolution.
        num_levels: Convolutions that follow it; all but the last halve the image.
    """
    layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    channels = width
    for level in range(1, num_levels + 1):
        wider, stride = width * min(2**level, 8), 2 if level < num_levels else 1
        norm = nn.GroupNorm(NORM_GROUPS, wider)
        layers += [nn.Conv2d(channels, wider, 4, stride, 1, bias=False), norm, nn.LeakyReLU(0.2)]
        channels = wider
    return nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 1, 1)).apply(_initialize)


def _initialize(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    if isinstance(layer, nn.GroupNorm):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def _as_input(decoded_B4HW: Tensor) -> Tensor:
    """Convert the decoder's output to the form of the VAE's input: the logit becomes a mask in [-1, 1]."""
    return torch.cat([decoded_B4HW[:, :3], 2 * decoded_B4HW[:, 3:].sigmoid() - 1], dim=1)


def _perceptual(config: MaskVAEConfig) -> PerceptualDistance | None:
    if config.perceptual_weight == 0:
        return None
    if config.lpips_weights is None:
        raise ValueError(
            f"perceptual_weight is {config.perceptual_weight} but lpips_weights is null; "
            "name a file with VGG16's weights, or set perceptual_weight to 0"
        )
    return build_lpips(Path(config.lpips_weights))
