from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.config import LoopConfig, MaskVAEConfig, OptimizerConfig, Precision, VAEConfig
from models.data.draws import replace_left_out
from models.data.images import as_unit_tensor
from models.losses.vae_loss import VAELoss
from models.network.initialization import seeded_weights
from models.network.mask_vae import build_mask_vae
from models.training.checkpoints import Checkpoints
from models.training.distributed import SINGLE, Ranks, init_distributed
from models.training.interruption import Interrupted
from models.training.loop import TrainingResult, train
from models.training.vae import VAETraining, reconstruction_quality
from tests.forked_ranks import ForkedRanks
from tests.models.toy_training import assert_equal_bits

CPU = torch.device("cpu")


@dataclass
class Discs:
    """Coloured discs, a function of their number."""

    side: int = 16

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> np.ndarray:
        y, x = np.mgrid[: self.side, : self.side]
        inside = (x - 4 - index) ** 2 + (y - 8) ** 2 < 20
        picture = np.zeros((self.side, self.side, 4), dtype=np.uint8)
        picture[inside] = (250 - 40 * index, 40 * index, 90, 255)
        return picture

    def name(self, index: int) -> str:
        return f"disc-{index}"


def make_config(**overrides: Any) -> MaskVAEConfig:
    fields: dict[str, Any] = {
        "recipe": 1,
        "vae": VAEConfig(
            pretrained=None, block_out_channels=(8, 16), layers_per_block=1, latent_channels=4, norm_num_groups=4
        ),
        "crop": None,
        "perceptual_weight": 0.0,
        "lpips_weights": None,
        "kl_weight": 1e-6,
        "mask_weight": 1.0,
        "discriminator_weight": 0.0,
        "discriminator_start": 4,
        "optimizer": OptimizerConfig(
            learning_rate=3e-3,
            betas=(0.9, 0.99),
            weight_decay=0.0,
            schedule="constant",
            warmup_samples=0,
            max_grad_norm=1.0,
        ),
        "loop": LoopConfig(
            batch_size=6, samples=36, ema_decay=0.9, log_every=2, validate_every=20, checkpoint_every=20
        ),
    }
    return MaskVAEConfig(**(fields | overrides))


def make_training(config: MaskVAEConfig, micro_batch: int | None = None, side: int = 16) -> VAETraining:
    with seeded_weights(0):
        vae, loss = build_mask_vae(config.vae), VAELoss(config)
    discs = Discs(side)
    pictures = as_unit_tensor(np.stack([discs[index] for index in range(4)]), CPU)
    return VAETraining(vae, loss, discs, pictures, seed=3, batch_size=config.loop.batch_size, micro_batch=micro_batch)


def run(
    training: VAETraining, config: MaskVAEConfig, folder: Path, *, stop: bool = False, ranks: Ranks = SINGLE
) -> TrainingResult:
    return train(
        training,
        config.loop,
        config.optimizer,
        checkpoints=Checkpoints(folder, "vae"),
        report=lambda *_: None,
        stop=lambda: stop,
        ranks=ranks,
    )


@pytest.mark.parametrize("first", [4, 6])
def test_vae_training_whose_samples_are_left_out_knows_its_step(first: int) -> None:
    """The discriminator joins by the step, which a replaced sample must not move."""
    ids = replace_left_out(range(first, first + 6), [(6, 8)])
    assert make_training(make_config()).load(ids).step == first // 6


def run_until_stopped(config: MaskVAEConfig, folder: Path, *, stop: bool) -> None:
    """What each process does."""
    torch.set_num_threads(1)
    with init_distributed(CPU) as ranks, suppress(Interrupted):
        run(replace(make_training(config, side=32), ranks=ranks), config, folder, stop=stop, ranks=ranks)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("start", [3, 100])
def test_vae_training_resumed_before_its_critic_joins_equals_an_undisturbed_one(
    tmp_path: Path, count: int, start: int
) -> None:
    config = make_config(discriminator_weight=0.5, discriminator_start=start)
    for name, stops in (("straight", [False]), ("resumed", [True, True, False])):
        for number, stop in enumerate(stops):
            job = partial(run_until_stopped, config, tmp_path / name, stop=stop)
            ForkedRanks(count).run(job, tmp_path / f"{name}-{number}", lambda: None, count)
    resumed, straight = (Checkpoints(tmp_path / name, "vae").load_newest() for name in ("resumed", "straight"))
    assert resumed is not None
    assert any(name.startswith("1.") for name in resumed["optimizer"]["state"]) == (start == 3)
    assert_equal_bits(resumed, straight)


@pytest.mark.slow
@pytest.mark.parametrize(("mask_channel", "least_iou"), [(True, 0.9), (False, 0.6)])
def test_vae_training_few_pictures_are_learnt(tmp_path: Path, mask_channel: bool, least_iou: float) -> None:
    config = make_config()
    config = config.model_copy(update={"vae": config.vae.model_copy(update={"mask_channel": mask_channel})})
    loop = config.loop.model_copy(update={"samples": 1200, "validate_every": 200, "checkpoint_every": 200})
    config = config.model_copy(update={"loop": loop})
    history = run(make_training(config), config, tmp_path).history
    assert history[-1]["train/loss"] < history[0]["train/loss"] / 5
    assert history[-1]["val/psnr"] > 20
    assert history[-1]["val/mask_iou"] > least_iou


def test_vae_training_reports_the_terms_of_its_loss(tmp_path: Path) -> None:
    config = make_config()
    row = run(make_training(config), config, tmp_path).history[-1]
    assert row["train/loss"] == pytest.approx(row["train/l1"] + row["train/mask_bce"] + row["train/kl"], rel=1e-5)


def test_vae_training_draws_depend_on_the_number_alone() -> None:
    training = make_training(make_config(crop=8))
    together = training.load(range(6, 12))
    for position, number in enumerate(range(6, 12)):
        alone = training.load([number])
        assert np.array_equal(alone.pixels_BHW4[0], together.pixels_BHW4[position])
        assert torch.equal(alone.noise_BChw[0], together.noise_BChw[position])
    assert together.pixels_BHW4.shape == (6, 8, 8, 4)
    assert together.step == 1


def gradients(training: VAETraining, precision: Precision = "fp32") -> list[torch.Tensor]:
    """Of VAE and discriminator at step 4, when the latter takes part, with autocast where the loop has it."""
    parts = training.micro_batches(training.load(range(24, 30)))
    while True:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            part = next(parts, None)
        if part is None:
            break
        part.loss.backward()
    modules = [module for module in (training.model, training.discriminator) if module is not None]
    return [weight.grad for module in modules for weight in module.parameters() if weight.grad is not None]


@pytest.mark.parametrize("critic", [0.0, 0.5])
@pytest.mark.parametrize("micro_batch", [1, 4])
def test_vae_training_in_micro_batches_has_the_gradient_of_the_whole_batch(micro_batch: int, critic: float) -> None:
    config = make_config(discriminator_weight=critic)
    whole, split = (gradients(make_training(config, size, side=32)) for size in (None, micro_batch))
    assert len(whole) == len(split) > 10
    for a, b in zip(whole, split, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-3)


def test_vae_training_under_bf16_autocast_trains_every_weight_that_it_trains_in_float32() -> None:
    """Though the adaptive weight takes a forward pass of its own, of whose copies of weights none may be left."""
    config = make_config(discriminator_weight=0.5)
    exact, rounded = (gradients(make_training(config, side=32), precision) for precision in ("fp32", "bf16"))
    assert len(rounded) == len(exact)
    for a, b in zip(exact, rounded, strict=True):
        assert (a - b).norm() < 0.3 * a.norm() + 1e-4


def run_split(config: MaskVAEConfig, folder: Path, micro_batch: int | None) -> None:
    """What each process does."""
    torch.set_num_threads(1)  # several threads sum in another order, which the critic's loss shows
    with init_distributed(CPU) as ranks:
        run(replace(make_training(config, micro_batch, side=32), ranks=ranks), config, folder, ranks=ranks)


def end_state(config: MaskVAEConfig, folder: Path, count: int, micro_batch: int | None) -> dict[str, Any]:
    ForkedRanks(count).run(partial(run_split, config, folder, micro_batch), folder / "exchange", lambda: None, count)
    end = Checkpoints(folder, "vae").load_newest()
    assert end is not None
    return end


@pytest.mark.slow
def test_vae_training_with_its_critic_is_the_same_for_any_ranks_and_micro_batches(tmp_path: Path) -> None:
    """Up to the order of sums: losses and norms to a thousandth, weights to two thirds of a step of Adam."""
    config = make_config(discriminator_weight=0.5, discriminator_start=1)
    slow = config.optimizer.model_copy(update={"learning_rate": 3e-4})  # the first steps of Adam enlarge any rounding
    often = config.loop.model_copy(update={"log_every": 1})
    config = config.model_copy(update={"optimizer": slow, "loop": often})
    whole = end_state(config, tmp_path / "whole", 1, None)
    assert "train/adversarial" in whole["history"]["rows"][-1]
    for count, micro_batch in ((1, 1), (1, 2), (2, None), (2, 2), (7, None)):
        split = end_state(config, tmp_path / f"{count}-{micro_batch}", count, micro_batch)
        for row, expected in zip(split["history"]["rows"], whole["history"]["rows"], strict=True):
            assert row == pytest.approx(expected, rel=1e-3, abs=1e-6)
        for name, weight in whole["weights"].items():
            torch.testing.assert_close(split["weights"][name], weight, rtol=1e-3, atol=2e-4, msg=name)


def test_vae_training_discriminator_learns_from_its_own_loss_only() -> None:
    config = make_config(discriminator_weight=0.5)
    training = make_training(config, side=32)
    batch = training.load(range(24, 30))  # step 4: the discriminator takes part
    assert training.discriminator is not None
    parts = training.micro_batches(batch)
    next(parts).loss.backward()
    assert all(weight.grad is None for weight in training.discriminator.parameters())
    before = [weight.grad.clone() for weight in training.model.parameters() if weight.grad is not None]
    next(parts).loss.backward()
    assert all(weight.grad is not None for weight in training.discriminator.parameters())
    after = [weight.grad for weight in training.model.parameters() if weight.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_vae_training_discriminator_starts_at_its_step(tmp_path: Path) -> None:
    config = make_config(discriminator_weight=0.5)
    history = run(make_training(config, side=32), config, tmp_path).history
    assert [row["samples_seen"] for row in history if "train/discriminator" in row] == [36]


def test_reconstruction_quality_of_a_decoder_of_white_is_that_of_white() -> None:
    vae = build_mask_vae(make_config().vae)
    torch.nn.init.zeros_(vae.decoder.conv_out.weight)
    with torch.no_grad():
        vae.decoder.conv_out.bias.copy_(torch.tensor([1.0, 1.0, 1.0, -9.0]))
    picture = torch.zeros(1, 4, 16, 16)
    picture[:, 3, :4] = 1  # a quarter is black, the rest transparent
    with torch.no_grad():
        psnr, iou = reconstruction_quality(vae, picture)
        assert psnr == pytest.approx(-10 * np.log10(0.25), abs=1e-3)
        assert iou == 0
        assert reconstruction_quality(vae, torch.zeros(1, 4, 16, 16))[1] == 1
