from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.data.latents import LatentSet
from models.network.attention import unasked_parameters
from models.network.noise import Diffusion
from models.training.diffusion import DiffusionTraining, validation_timesteps
from models.training.history import as_csv
from models.training.interruption import Interrupted
from tests.models.toy_diffusion import LOOP, OPTIMIZER, make_training, run
from tests.models.toy_latents import write_toy_latents
from tests.models.toy_models import NOISE
from tests.models.toy_training import weights


@pytest.fixture
def latents(tmp_path: Path) -> LatentSet:
    return write_toy_latents(tmp_path / "latents")


def make_sparing(latents: LatentSet) -> DiffusionTraining:
    """A stage of one condition view, in which what that leaves unused is frozen."""
    training = make_training(latents, multi_condition_share=0.0)
    for weight in unasked_parameters(training.model):
        weight.requires_grad_(False)
    return training


@pytest.mark.slow(seconds=3)
@pytest.mark.parametrize("settings", [{}, {"decayed": "matrices", "weight_decay": 0.1, "view_scale_rate": 10.0}])
def test_diffusion_training_interrupted_twice_equals_undisturbed_run(
    latents: LatentSet, tmp_path: Path, settings: dict[str, Any]
) -> None:
    optimizer = OPTIMIZER.model_copy(update=settings)
    make = make_sparing if settings else make_training
    straight = make(latents)
    whole = run(straight, tmp_path / "straight", optimizer=optimizer)
    for _ in range(2):
        with pytest.raises(Interrupted):
            run(make(latents), tmp_path / "resumed", is_stopped=True, optimizer=optimizer)
    resumed = make(latents)
    rest = run(resumed, tmp_path / "resumed", optimizer=optimizer)
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


def given_to(training: DiffusionTraining, sample_ids: range) -> dict[str, torch.Tensor]:
    """The keywords of the network's last call for these samples, which have equally many views."""
    calls: list[dict[str, torch.Tensor]] = []
    hook = training.model.register_forward_pre_hook(lambda _, __, given: calls.append(given), with_kwargs=True)
    with torch.no_grad():
        list(training.micro_batches(training.load(sample_ids)))
    hook.remove()
    return calls[-1]


def test_diffusion_training_gives_targets_the_reference_where_it_is_not_dropped(latents: LatentSet) -> None:
    with_reference = {"generation_input": "reference"}
    training = make_training(latents, network=with_reference, multi_condition_share=0.0, condition_drop=0.5)
    dropped = [sample.is_dropped_B.item() for sample in training.load(range(8))]
    assert 0 < sum(dropped) < 8
    given = given_to(training, range(8))["condition_BVCHW"]
    for condition, is_dropped in zip(given, dropped, strict=True):
        wanted = training.white_CHW if is_dropped else condition[0]
        assert torch.equal(condition[1:], wanted.expand_as(condition[1:]))
        assert condition[0].any() != is_dropped
    plain = given_to(make_training(latents, multi_condition_share=0.0, condition_drop=0.5), range(8))
    assert torch.equal(plain["condition_BVCHW"][:, 1:], training.white_CHW.expand(8, 3, 4, 4, 4))


def test_diffusion_training_with_clean_condition_views_counts_targets_alone(latents: LatentSet) -> None:
    training = make_training(latents, network={"condition_input": "clean"}, multi_condition_share=0.0)
    samples = training.reader.read(0)
    with torch.no_grad():
        loss = training.sample_losses(samples)
        noise = samples.noise_BVCHW.clone()
        noise[:, :1] += 1  # of the condition view alone
        assert torch.equal(training.sample_losses(replace(samples, noise_BVCHW=noise)), loss)
        noise[:, 1:] += 1
        assert not torch.equal(training.sample_losses(replace(samples, noise_BVCHW=noise)), loss)


def test_diffusion_training_validates_with_the_reference_too(latents: LatentSet) -> None:
    with torch.no_grad():
        plain, guided = (
            make_training(latents, network={"generation_input": name}).validate()["val/loss"]
            for name in ("white", "reference")
        )
    assert plain != guided


@pytest.mark.slow(seconds=1)
def test_diffusion_training_logs_the_view_scale_and_its_share(latents: LatentSet, tmp_path: Path) -> None:
    history = run(make_training(latents, network={"view_scale": 0.5}), tmp_path / "run").history
    rows = [row for row in history if "train/view_scale" in row]
    assert rows
    assert rows[0]["train/view_scale"] == pytest.approx(0.5, abs=0.05)
    assert all(row["train/view_share"] > 0 for row in rows)
    training = make_training(latents, network={"view_scale": 0.5}, micro_batch=1)
    batch = training.load(range(4))
    with torch.no_grad():
        logged = [dict(part.metrics) for part in training.micro_batches(batch)]
        time = training.model.base.time_embedding(
            training.model.base.time_proj(torch.cat([sample.timestep_B for sample in batch]))
        )
        added = 0.5 * training.model.view_mlp(training.model.view_vectors.weight)
    assert ["view_share" in metrics for metrics in logged] == [True, False, False, False]
    shares = added.norm(dim=1).square().mean().sqrt() / time.norm(dim=1)
    assert logged[0]["view_share"].item() == pytest.approx(shares.mean().item(), rel=1e-5)


def test_diffusion_training_without_view_embeddings_logs_no_scale(latents: LatentSet) -> None:
    training = make_training(latents, network={"view_embedding": False})
    with torch.no_grad():
        assert all(part.metrics.keys() == {"loss"} for part in training.micro_batches(training.load(range(4))))


@pytest.mark.slow
def test_diffusion_training_one_object_is_learnt(latents: LatentSet, tmp_path: Path) -> None:
    training = make_training(latents, multi_condition_share=0.0, num_items=1)
    rarely = {"validate_every": 100, "checkpoint_every": 100}  # a validation costs as much as four steps
    loop = LOOP.model_copy(update={"samples": 400, "ema_decay": 0.0} | rarely)
    history = run(training, tmp_path / "run", loop).history
    losses = [row["train/loss"] for row in history if "train/loss" in row]
    assert sum(losses[-4:]) / 4 < losses[0] / 5
