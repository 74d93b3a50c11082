from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.data.latents import LatentSet
from models.network.noise import Diffusion
from models.training.diffusion import DiffusionTraining, validation_timesteps
from models.training.history import as_csv
from models.training.interruption import Interrupted
from tests.models.toy_diffusion import LOOP, make_training, run
from tests.models.toy_latents import write_toy_latents
from tests.models.toy_models import NOISE
from tests.models.toy_training import weights


@pytest.fixture
def latents(tmp_path: Path) -> LatentSet:
    return write_toy_latents(tmp_path / "latents")


def test_diffusion_training_interrupted_twice_equals_undisturbed_run(latents: LatentSet, tmp_path: Path) -> None:
    straight = make_training(latents)
    whole = run(straight, tmp_path / "straight")
    for _ in range(2):
        with pytest.raises(Interrupted):
            run(make_training(latents), tmp_path / "resumed", is_stopped=True)
    resumed = make_training(latents)
    rest = run(resumed, tmp_path / "resumed")
    assert weights(resumed.model) == weights(straight.model)
    assert all(
        torch.equal(a, b) for a, b in zip(rest.average.state().values(), whole.average.state().values(), strict=True)
    )
    assert as_csv(rest.history) == as_csv(whole.history)


def loss_and_gradients(training: DiffusionTraining) -> tuple[float, list[torch.Tensor]]:
    total = 0.0
    for part in training.micro_batches(training.load(range(8))):
        part.loss.backward()
        total += part.metrics["loss"].item()
    return total, [weight.grad for weight in training.model.parameters() if weight.grad is not None]


def test_diffusion_training_groups_and_micro_batches_equal_samples_one_by_one(latents: LatentSet) -> None:
    grouped, split = make_training(latents), make_training(latents, micro_batch=1)
    counts = {samples.condition_BKCHW.shape[1] for samples in grouped.load(range(8))}
    assert len(counts) > 2
    loss, gradients = loss_and_gradients(grouped)
    loss_split, gradients_split = loss_and_gradients(split)
    assert loss == pytest.approx(loss_split, rel=1e-5)
    for a, b in zip(gradients, gradients_split, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_diffusion_training_loss_is_the_mean_over_samples_of_the_mean_over_all_views(latents: LatentSet) -> None:
    training = make_training(latents)
    batch = training.load(range(4))
    with torch.no_grad():
        loss = sum(part.loss.item() for part in training.micro_batches(batch))
        one_by_one = [training.sample_losses(sample).item() for sample in batch]
    assert loss == pytest.approx(sum(one_by_one) / 4, rel=1e-5)


def test_diffusion_training_condition_views_enter_the_loss(latents: LatentSet) -> None:
    training = make_training(latents)
    (sample,) = training.load([0])
    noise = sample.noise_BVCHW.clone()
    noise[:, 0] += 1
    with torch.no_grad():
        # with a network that says nothing, each view's error is the mean square of its target, and 1 + T views share
        torch.nn.init.zeros_(training.model.base.conv_out.weight)
        torch.nn.init.zeros_(training.model.base.conv_out.bias)
        for chosen in (sample, replace(sample, noise_BVCHW=noise)):
            target = training.diffusion.target(chosen.clean_BVCHW, chosen.noise_BVCHW, chosen.timestep_B)
            of_views = target.square().flatten(2).mean(dim=2)
            expected = of_views.sum().item() / (1 + chosen.target_ids_BT.shape[1])
            assert training.sample_losses(chosen).item() == pytest.approx(expected, rel=1e-4)


def test_diffusion_training_validation_repeats_and_covers_all_timesteps(latents: LatentSet) -> None:
    training = make_training(latents)
    training.model.eval()
    with torch.no_grad():
        first, again = training.validate(), training.validate()
    assert first == again
    quartiles = [first[f"val/loss_q{quartile}"] for quartile in (1, 2, 3, 4)]
    assert first["val/loss"] == pytest.approx(sum(quartiles) / 4)
    assert validation_timesteps(1000)[::5] == [31, 343, 656, 968]


def test_diffusion_training_view_embeddings_and_attention_get_gradients(latents: LatentSet) -> None:
    training = make_training(latents)
    with torch.no_grad():
        training.model.view_scale.fill_(1.0)
    loss_and_gradients(training)
    missing = [name for name, weight in training.model.named_parameters() if weight.grad is None]
    assert missing == []


def test_diffusion_training_that_goes_over_to_v_begins_with_the_noise_model_converted(latents: LatentSet) -> None:
    """The error in v is that in noise over alpha, sample by sample; a network read as v starts anywhere."""
    training = make_training(latents)
    noise = NOISE.model_copy(update={"prediction": "epsilon", "network": "epsilon"})
    as_noise = replace(training, diffusion=Diffusion(noise))
    kept = replace(training, diffusion=Diffusion(noise.model_copy(update={"prediction": "v_prediction"})))
    training.model.eval()
    with torch.no_grad():
        for number, timestep in enumerate((20, 300, 700)):
            sample = training.reader.read_validation(number, timestep=timestep)
            alpha = training.diffusion.alpha[timestep].item()
            expected = as_noise.sample_losses(sample).item() / alpha**2
            assert kept.sample_losses(sample).item() == pytest.approx(expected, rel=1e-4)
            assert training.sample_losses(sample).item() != pytest.approx(expected, rel=1e-2)


@pytest.mark.slow
def test_diffusion_training_one_object_is_learnt(latents: LatentSet, tmp_path: Path) -> None:
    training = make_training(latents, multi_condition_share=0.0, num_items=1)
    rarely = {"validate_every": 100, "checkpoint_every": 100}  # a validation costs as much as four steps
    loop = LOOP.model_copy(update={"samples": 400, "ema_decay": 0.0} | rarely)
    history = run(training, tmp_path / "run", loop).history
    losses = [row["train/loss"] for row in history if "train/loss" in row]
    assert sum(losses[-4:]) / 4 < losses[0] / 5
