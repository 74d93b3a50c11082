import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import nn

from models.config import LoopConfig, MaskVAEConfig, OptimizerConfig
from models.losses.vae_loss import VAELoss, adaptive_weight, patch_discriminator
from models.network.initialization import seeded_weights
from tests.models.toy_models import VAE

CONFIG = MaskVAEConfig(
    recipe=1,
    vae=VAE,
    crop=None,
    perceptual_weight=0.0,
    lpips_weights=None,
    kl_weight=1e-6,
    mask_weight=1.0,
    discriminator_weight=0.0,
    discriminator_start=10,
    optimizer=OptimizerConfig(
        learning_rate=1e-3, betas=(0.5, 0.9), weight_decay=0, schedule="constant", warmup_samples=0, max_grad_norm=1
    ),
    loop=LoopConfig(batch_size=2, samples=2, ema_decay=0, log_every=1, validate_every=1, checkpoint_every=1),
)
SIDE = 32


def images() -> torch.Tensor:
    picture = torch.rand(2, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    picture[:, 3] = picture[:, 3].sign()
    return picture


def posterior() -> DiagonalGaussianDistribution:
    return DiagonalGaussianDistribution(torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(1)))


def last_layer() -> nn.Conv2d:
    with seeded_weights(2):
        return nn.Conv2d(4, 4, 3, padding=1)


def generator(
    loss: VAELoss, decoded: torch.Tensor, weight: torch.Tensor | None = None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    return loss.generator(images(), decoded, posterior(), adaptive_weight=weight)


def test_vae_loss_of_a_perfect_decoder_is_the_kl_alone() -> None:
    perfect = images()
    perfect[:, 3] *= 50  # logits
    total, parts = generator(VAELoss(CONFIG), perfect)
    assert set(parts) == {"l1", "mask", "kl"}
    # LDM: 1e-6 times the sum over the latent, against sums over the image
    assert total.item() == pytest.approx(1e-6 * posterior().kl().mean().item() / (3 * SIDE**2), rel=1e-5)


def test_vae_loss_weighs_the_colours_of_the_object() -> None:
    truth = images()
    is_object = (truth[:, 3:] > 0).float()
    off = truth.clone()
    off[:, :3] += 0.1 * is_object + 0.2 * (1 - is_object)
    loss = VAELoss(CONFIG.model_copy(update={"object_weight": 10.0}))
    share = is_object.mean().item()
    assert generator(loss, off)[1]["l1"].item() == pytest.approx(10 * 0.1 * share + 0.2 * (1 - share), rel=1e-4)
    assert generator(VAELoss(CONFIG), off)[1]["l1"].item() == pytest.approx(0.1 * share + 0.2 * (1 - share), rel=1e-4)
    assert "object_weight" not in CONFIG.model_dump(), "manifests of before the field came stay the same"


def test_vae_loss_weighs_the_mask_by_binary_cross_entropy() -> None:
    undecided = images()
    undecided[:, 3] = 0
    _, parts = generator(VAELoss(CONFIG.model_copy(update={"mask_weight": 3.0})), undecided)
    assert parts["mask"].item() == pytest.approx(3 * 0.693147, rel=1e-5)


def test_vae_loss_without_a_mask_channel_is_that_of_the_colours() -> None:
    colours = VAE.model_copy(update={"mask_channel": False})
    loss = VAELoss(CONFIG.model_copy(update={"vae": colours, "discriminator_weight": 0.5}))
    off = images()[:, :3] + 0.1
    _, parts = generator(loss, off, torch.tensor(1.0))
    assert set(parts) == {"l1", "kl", "adversarial"}
    assert parts["l1"].item() == pytest.approx(0.1, rel=1e-4)
    assert loss.discriminate(images(), off).ndim == 0
    assert "mask_channel" not in VAE.model_dump(), "manifests of before the field came stay the same"


def test_vae_loss_before_the_discriminator_starts_ignores_it() -> None:
    loss = VAELoss(CONFIG.model_copy(update={"discriminator_weight": 0.5}))
    assert [loss.is_adversarial(step) for step in (0, 9, 10)] == [False, False, True]
    assert not VAELoss(CONFIG).is_adversarial(10)
    assert "adversarial" not in generator(loss, images())[1]
    assert "adversarial" in generator(loss, images(), torch.tensor(1.0))[1]


def test_adversarial_term_pulls_at_the_last_layer_as_hard_as_its_weight_says() -> None:
    loss, conv = VAELoss(CONFIG.model_copy(update={"discriminator_weight": 0.5, "kl_weight": 0.0})), last_layer()
    balance = adaptive_weight(loss.gradients_at(conv.weight, images(), conv(images())), 3 * SIDE**2)
    gradients = []
    for weight in (None, balance):
        total, _ = generator(loss, conv(images()), weight)
        gradients.append(torch.autograd.grad(total, conv.weight)[0])
    pull = (gradients[1] - gradients[0]).norm() / gradients[0].norm()
    assert pull.item() == pytest.approx(0.5, rel=0.05)


def test_discriminator_trained_on_fixed_images_separates_them_and_leaves_the_vae_alone() -> None:
    with seeded_weights(3):
        loss = VAELoss(CONFIG.model_copy(update={"discriminator_weight": 0.5}))
    conv = last_layer()
    assert loss.discriminator is not None
    optimizer = torch.optim.Adam(loss.discriminator.parameters(), 1e-3)
    values = []
    for _ in range(6):
        optimizer.zero_grad()
        value = loss.discriminate(images(), conv(images()))
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.6 * values[0]
    assert conv.weight.grad is None


def test_adaptive_weight_is_bounded_as_in_ldm() -> None:
    faint = torch.stack([torch.ones(9), torch.full((9,), 1e-9)])
    # LDM: at most 1e4, against sums over the image
    assert adaptive_weight(faint, 3 * SIDE**2).item() == pytest.approx(1e4 / (3 * SIDE**2))
    assert adaptive_weight(torch.zeros(2, 9), 3 * SIDE**2).item() == 0


def test_discriminator_judges_each_image_by_itself() -> None:
    discriminator = patch_discriminator()
    together, alone = discriminator(images()), [discriminator(image) for image in images().split(1)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-6)
    assert not list(discriminator.buffers())


def test_patch_discriminator_is_ldms_but_for_its_norms() -> None:
    discriminator = patch_discriminator(in_channels=3)
    # NLayerDiscriminator(input_nc=3, n_layers=3, ndf=64) of taming-transformers
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_633
    assert discriminator(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)


def test_vae_loss_wanting_lpips_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="lpips_weights is null"):
        VAELoss(CONFIG.model_copy(update={"perceptual_weight": 1.0}))
