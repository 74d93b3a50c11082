"""Consistency on processes whose ODE is solved in closed form: a point, and a Gaussian."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from models.network.noise import Diffusion, build_scheduler
from models.training.consistency import Segments
from tests.models.toy_models import NOISE

DIFFUSION = Diffusion(NOISE)
TERMINAL = Diffusion(NOISE.model_copy(update={"zero_terminal_snr": True}))
POINTS, STEPS = 40, 4
MEAN, DEVIATION = 0.7, 0.4


@dataclass(frozen=True)
class Gaussian:
    """z_0 ~ N(MEAN, deviation^2): the ODE keeps the latents' place in the distribution of each timestep."""

    diffusion: Diffusion
    deviation: float

    def moved(self, latents: Tensor, from_angle: Tensor, to_angle: Tensor) -> Tensor:
        """The exact solution of the ODE, in float64; angles as in models.training.consistency."""
        means = [angle.cos() * MEAN for angle in (from_angle, to_angle)]
        spreads = [(angle.cos() ** 2 * self.deviation**2 + angle.sin() ** 2).sqrt() for angle in (from_angle, to_angle)]
        ratio = torch.where(spreads[1] == spreads[0], 1.0, spreads[1] / spreads[0].clamp(min=1e-300))
        return means[1] + ratio * (latents - means[0])

    def velocity_to(self, segments: Segments, end_of: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        """The mean velocity from a timestep to another point of the grid: with it a step of DDIM is exact."""

        def velocity(latents: Tensor, timestep_B: Tensor) -> Tensor:
            point_B = torch.where(timestep_B == 0, 0, segments.point_of(timestep_B))
            angles = torch.atan2(self.diffusion.sigma, self.diffusion.alpha)[timestep_B].view(-1, 1, 1, 1, 1)
            end_B = end_of(point_B).clamp(min=0)
            there = torch.atan2(self.diffusion.sigma, self.diffusion.alpha)[segments.timestep_of(end_B)]
            there = torch.where(end_B == 0, 0.0, there).view(-1, 1, 1, 1, 1)
            reached = self.moved(latents, angles, there)
            turned = angles - there
            return torch.where(
                turned == 0, latents, (turned.cos() * latents - reached) / turned.sin().clamp(min=1e-300)
            )

        return velocity


def noisy_of(gaussian: Gaussian, segments: Segments, point_B: Tensor) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, len(point_B), 2, 3, 4, 4, generator=rng, dtype=torch.float64)
    clean = MEAN + gaussian.deviation * clean
    return gaussian.diffusion.add_noise(clean, noise, segments.timestep_of(point_B))


@pytest.mark.parametrize("steps", [1, STEPS, POINTS])
@pytest.mark.parametrize("deviation", [0.0, DEVIATION], ids=["point", "gaussian"])
@pytest.mark.parametrize("diffusion", [DIFFUSION, TERMINAL], ids=["paper", "terminal"])
def test_student_that_is_the_consistency_function_meets_its_target(
    diffusion: Diffusion, deviation: float, steps: int
) -> None:
    segments, gaussian = Segments(diffusion, POINTS, steps), Gaussian(diffusion, deviation)
    point_B = torch.arange(1, POINTS + 1)
    noisy = noisy_of(gaussian, segments, point_B)
    teacher = gaussian.velocity_to(segments, lambda point_B: point_B - 1)
    student = gaussian.velocity_to(segments, segments.start_of)
    target = segments.target(noisy, point_B, teacher, student)
    torch.testing.assert_close(target, student(noisy, segments.timestep_of(point_B)), atol=1e-6, rtol=1e-6)


def test_student_that_is_the_teacher_misses_its_target_but_at_the_beginning_of_segments() -> None:
    segments, gaussian = Segments(DIFFUSION, POINTS, STEPS), Gaussian(DIFFUSION, DEVIATION)
    point_B = torch.arange(1, POINTS + 1)
    noisy = noisy_of(gaussian, segments, point_B)
    teacher = gaussian.velocity_to(segments, lambda point_B: point_B - 1)
    target = segments.target(noisy, point_B, teacher, teacher)
    error_B = (target - teacher(noisy, segments.timestep_of(point_B))).flatten(1).square().mean(dim=1)
    is_first_B = segments.start_of(point_B) == point_B - 1
    assert is_first_B.sum() == STEPS
    assert error_B[is_first_B].max() < 1e-12
    assert error_B[~is_first_B].min() > 1e-7


def test_teacher_of_a_point_is_its_own_consistency_function() -> None:
    """All the ODE's paths to a point are followed by DDIM without error, in steps of any length."""
    segments, gaussian = Segments(DIFFUSION, POINTS, STEPS), Gaussian(DIFFUSION, 0.0)
    point_B = torch.arange(1, POINTS + 1)
    noisy = noisy_of(gaussian, segments, point_B)
    teacher = gaussian.velocity_to(segments, lambda point_B: point_B - 1)
    noise = (noisy - DIFFUSION.alpha[segments.timestep_of(point_B)].view(-1, 1, 1, 1, 1) * MEAN) / DIFFUSION.sigma[
        segments.timestep_of(point_B)
    ].view(-1, 1, 1, 1, 1)
    wanted = DIFFUSION.target(torch.full_like(noisy, MEAN), noise, segments.timestep_of(point_B))
    torch.testing.assert_close(teacher(noisy, segments.timestep_of(point_B)), wanted, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(segments.target(noisy, point_B, teacher, teacher), wanted, atol=1e-6, rtol=1e-6)


def test_target_lets_no_gradient_through() -> None:
    segments = Segments(DIFFUSION, POINTS, STEPS)
    weight = torch.ones((), requires_grad=True)
    noisy = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    target = segments.target(noisy, torch.tensor([7, 31]), lambda z, _: weight * z, lambda z, _: weight * z.sin())
    assert not target.requires_grad


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 8])
@pytest.mark.parametrize("diffusion", [DIFFUSION, TERMINAL], ids=["paper", "terminal"])
def test_segments_are_the_steps_of_the_ddim_scheduler(diffusion: Diffusion, steps: int) -> None:
    segments, ddim = Segments(diffusion, POINTS, steps), build_scheduler(diffusion.config, "ddim")
    latents = torch.randn(1, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mine, point = latents.double(), torch.tensor([POINTS])
    ddim.set_timesteps(steps)
    for timestep in ddim.timesteps:
        assert segments.timestep_of(point) == timestep
        latents = ddim.step(0.3 * latents.sin(), timestep, latents, return_dict=False)[0]
        mine = segments.step(mine, 0.3 * mine.sin(), point, segments.start_of(point))
        point = segments.start_of(point)
    assert point == 0
    torch.testing.assert_close(latents.double(), mine, atol=2e-4, rtol=0)


def test_every_timestep_is_rounded_up_to_its_point_and_all_points_are_equally_likely() -> None:
    segments = Segments(DIFFUSION, POINTS, STEPS)
    timestep_B = torch.arange(1000)
    point_B = segments.point_of(timestep_B)
    assert torch.equal(torch.bincount(point_B), torch.tensor([0] + [1000 // POINTS] * POINTS))
    rounded_B = segments.timestep_of(point_B)
    assert ((rounded_B >= timestep_B) & (rounded_B < timestep_B + 1000 // POINTS)).all()
    assert torch.equal(segments.point_of(rounded_B), point_B)
