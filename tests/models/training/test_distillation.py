from pathlib import Path
from typing import Any

import pytest
import torch

from models.data.latents import LatentSet
from models.network.multiview_unet import MultiViewUNet
from models.network.scheduler_names import SchedulerName
from models.training.cost import meta_inputs, meta_tflop
from models.training.history import as_csv
from models.training.interruption import Interrupted
from tests.models.distillation_proof import distance, distil, drawn, spread_latents, trained_teacher
from tests.models.toy_diffusion import make_training, run
from tests.models.toy_distillation import make_distillation
from tests.models.toy_latents import write_toy_latents
from tests.models.toy_training import weights
from tests.models.training.test_distributed import assert_equal_trainings
from tests.models.training.toy_ranks import end_state


@pytest.fixture
def latents(tmp_path: Path) -> LatentSet:
    return write_toy_latents(tmp_path / "latents")


@pytest.mark.slow(seconds=4)
def test_distillation_changes_the_student_and_not_the_teacher(latents: LatentSet, tmp_path: Path) -> None:
    distillation = make_distillation(latents)
    before = weights(distillation.teacher)
    assert weights(distillation.model) == before
    assert distillation.frozen_parameters == sum(weight.numel() for weight in distillation.model.parameters())
    run(distillation, tmp_path / "run")
    assert weights(distillation.teacher) == before
    assert weights(distillation.model) != before
    assert all(weight.grad is None for weight in distillation.teacher.parameters())


def test_distillation_gradient_is_that_of_the_distance_from_a_fixed_target(latents: LatentSet) -> None:
    distillation = make_distillation(latents)
    [samples] = distillation.load([0])
    loss = distillation.sample_losses(samples).sum()
    loss.backward()
    found = [weight.grad for weight in distillation.model.parameters() if weight.grad is not None]
    distillation.model.zero_grad()

    segments = distillation.segments
    point_B = segments.point_of(samples.timestep_B)
    timestep_B, start_B = segments.timestep_of(point_B), segments.start_of(point_B)
    given = distillation.conditioning(samples)
    noisy = distillation.diffusion.add_noise(samples.clean_BVCHW, samples.noise_BVCHW, timestep_B)
    with torch.no_grad():
        moved = segments.step(
            noisy, distillation.predict(distillation.teacher, noisy, timestep_B, given), point_B, point_B - 1
        )
        ahead = distillation.predict(distillation.model, moved, segments.timestep_of(point_B - 1), given)
        reached = segments.step(moved, ahead, point_B - 1, start_B)
    predicted = distillation.predict(distillation.model, noisy, timestep_B, given)
    own = segments.step(noisy, predicted, point_B, start_B)
    ratio = segments.step(torch.zeros(1), -torch.ones(1), point_B, start_B).square()  # of a turn: the sine squared
    distance = ((own - reached).square() / ratio).flatten(2).mean(dim=2).sum() / (1 + samples.target_ids_BT.shape[1])
    assert loss.item() == pytest.approx(distance.item(), rel=1e-3)
    distance.backward()
    wanted = [weight.grad for weight in distillation.model.parameters() if weight.grad is not None]
    scale = max(gradient.abs().max() for gradient in wanted)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3 * scale.item(), rtol=1e-2)


def test_distillation_under_autocast_has_nearly_the_gradients_of_float32(latents: LatentSet) -> None:
    """Autocast keeps its casts of weights: one that is made where no gradient flows must not serve where one does."""
    gradients = []
    for is_half in (False, True):
        distillation = make_distillation(latents)
        [samples] = distillation.load([0])
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = distillation.sample_losses(samples).sum()
        loss.backward()
        gradients.append({name: weight.grad for name, weight in distillation.model.named_parameters()})
    exact, half = gradients
    assert {name for name in exact if exact[name] is None} == {name for name in half if half[name] is None}
    found, wanted = (
        torch.cat([grad.flatten() for grad in each.values() if grad is not None]) for each in (half, exact)
    )
    assert torch.nn.functional.cosine_similarity(found, wanted, dim=0) > 0.95


def test_distillation_gives_all_views_of_an_object_one_timestep_of_the_grid(latents: LatentSet) -> None:
    distillation = make_distillation(latents)
    told: list[torch.Tensor] = []
    for unet in (distillation.teacher, distillation.model):
        unet.register_forward_pre_hook(lambda _unet, given: told.append(given[1]))
    samples = distillation.load(range(6))
    for one in samples:
        distillation.sample_losses(one)
    assert {tuple(timestep_B.shape) for timestep_B in told} == {(1,)}
    teachers, targets, students = told[0::3], told[1::3], told[2::3]
    stride = distillation.segments.stride
    for asked, teacher_B, target_B, student_B in zip(samples, teachers, targets, students, strict=True):
        assert teacher_B == student_B == asked.timestep_B // stride * stride + stride - 1
        assert target_B == max(0, student_B - stride)


@pytest.mark.slow(seconds=4)
def test_distillation_interrupted_twice_equals_undisturbed_run(latents: LatentSet, tmp_path: Path) -> None:
    straight = make_distillation(latents)
    whole = run(straight, tmp_path / "straight")
    for _ in range(2):
        with pytest.raises(Interrupted):
            run(make_distillation(latents), tmp_path / "resumed", is_stopped=True)
    resumed = make_distillation(latents)
    rest = run(resumed, tmp_path / "resumed")
    assert weights(resumed.model) == weights(straight.model)
    assert as_csv(rest.history) == as_csv(whole.history)


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_two_processes_distil_what_one_distils(latent_folder: Path, tmp_path: Path, *, sharded: bool) -> None:
    settings: dict[str, Any] = {"distils": True, "samples": 15}
    alone = end_state(1, latent_folder, tmp_path / "one", **settings)
    assert_equal_trainings(end_state(2, latent_folder, tmp_path / "two", sharded=sharded, **settings), alone)


def test_distillation_in_micro_batches_has_the_loss_of_whole_groups(latents: LatentSet) -> None:
    losses = []
    for micro_batch in (None, 1):
        distillation = make_distillation(latents, micro_batch)
        with torch.no_grad():
            parts = distillation.micro_batches(distillation.load(range(6)))
            losses.append(sum(part.loss.item() for part in parts))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow(seconds=4)
def test_distillation_counts_two_forward_passes_more_than_a_training(latents: LatentSet) -> None:
    distillation, training = (make(latents, multi_condition_share=0.0) for make in (make_distillation, make_training))
    with torch.device("meta"):
        unet = MultiViewUNet.from_config(training.model.config)
    with torch.no_grad():
        forward = meta_tflop(lambda: unet(**meta_inputs(unet, 1, 1 + 3, torch.float32)))
    counted = distillation.sample_tflop([0])[0]
    assert counted == pytest.approx(training.sample_tflop([0])[0] + 2 * forward, rel=0.03)
    assert counted == pytest.approx(distillation.cost(None).tflop, rel=1e-9)


@pytest.mark.nightly
@pytest.mark.slow(seconds=40)
def test_distilled_model_comes_nearer_to_its_teachers_ode_in_four_steps_than_the_teacher(tmp_path: Path) -> None:
    latents = spread_latents(tmp_path / "latents")
    training = trained_teacher(latents, tmp_path / "teacher", steps=400)
    samplers: list[SchedulerName] = ["unipc", "dpmsolver++", "ddim"]
    wanted = drawn(training.model.eval(), latents, "dpmsolver++", 100)
    assert distance(drawn(training.model, latents, "ddim", 200), wanted) < 0.02  # both solve the ODE
    few = min(distance(drawn(training.model, latents, name, 4), wanted) for name in samplers)
    training.model.train()
    student = distil(training, tmp_path / "student", num_points=40, num_segments=4, steps=150)
    assert distance(drawn(student, latents, "ddim", 4), wanted) < 0.7 * few
