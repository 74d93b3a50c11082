from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from models.config import NoiseConfig
from models.network.noise import Diffusion, build_scheduler, change_scheduler, usual_steps
from tests.models.toy_models import NOISE

EPSILON = NOISE.model_copy(update={"prediction": "epsilon", "network": "epsilon"})
KEPT = NOISE.model_copy(update={"network": "epsilon"})
SCALED = NOISE.model_copy(update={"beta_schedule": "scaled_linear"})
TERMINAL = NOISE.model_copy(update={"zero_terminal_snr": True})
CONFIGS = pytest.mark.parametrize("config", [NOISE, EPSILON, SCALED, TERMINAL], ids=["v", "eps", "scaled", "terminal"])
TIMES = torch.tensor([0, 1, 10, 500, 998, 999])


def clean_and_noise(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, len(TIMES), 3, 4, 5, 5, generator=rng, dtype=dtype)
    return clean, noise


@CONFIGS
def test_diffusion_target_converted_back_gives_clean_and_noise(config: NoiseConfig) -> None:
    diffusion, (clean, noise) = Diffusion(config), clean_and_noise(torch.float64)
    noisy = diffusion.add_noise(clean, noise, TIMES)
    target = diffusion.target(clean, noise, TIMES)
    found = diffusion.clean_and_noise(target, noisy, TIMES)
    torch.testing.assert_close(found[0], clean, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(found[1], noise, atol=1e-12, rtol=1e-12)


@CONFIGS
def test_diffusion_agrees_with_the_ddpm_scheduler(config: NoiseConfig) -> None:
    diffusion, ddpm, (clean, noise) = Diffusion(config), build_scheduler(config, "ddpm"), clean_and_noise()
    assert isinstance(ddpm, DDPMScheduler)
    torch.testing.assert_close(diffusion.alpha.square().float(), ddpm.alphas_cumprod, atol=1e-6, rtol=2e-4)
    noisy = diffusion.add_noise(clean, noise, TIMES)
    torch.testing.assert_close(noisy, ddpm.add_noise(clean, noise, TIMES), atol=1e-4, rtol=0)
    if config.prediction == "v_prediction":
        velocity = diffusion.target(clean, noise, TIMES)
        torch.testing.assert_close(velocity, ddpm.get_velocity(clean, noise, TIMES), atol=1e-4, rtol=0)


def test_diffusion_of_the_paper_ends_near_but_not_at_zero_signal() -> None:
    assert Diffusion(NOISE).alpha[-1].square().item() == pytest.approx(0.00158, abs=5e-6)  # docs/paper.md 1.5
    assert Diffusion(SCALED).alpha[-1].square().item() == pytest.approx(0.00466, abs=5e-6)


def test_diffusion_with_zero_terminal_snr_ends_in_pure_noise() -> None:
    diffusion, (clean, noise) = Diffusion(TERMINAL), clean_and_noise()
    last = torch.full((len(TIMES),), 999)
    assert diffusion.alpha[-1] == 0
    assert diffusion.alpha[0] == pytest.approx(Diffusion(NOISE).alpha[0].item(), rel=1e-12)
    assert torch.equal(diffusion.add_noise(clean, noise, last), noise)
    assert torch.equal(diffusion.target(clean, noise, last), -clean)
    with pytest.raises(ValueError, match="use v_prediction"):
        NoiseConfig.model_validate(TERMINAL.model_dump() | {"network": "epsilon"})


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weight_makes_an_error_count_as_one_of_z0_up_to_gamma(prediction: str) -> None:
    diffusion = Diffusion(
        NOISE.model_copy(update={"prediction": prediction, "network": prediction, "min_snr_gamma": 5.0})
    )
    _, noise = clean_and_noise(torch.float64)
    noisy, output = clean_and_noise(torch.float64)
    first, second = (diffusion.clean_and_noise(guess, noisy, TIMES)[0] for guess in (output, output + noise))
    squares = (first - second).flatten(1).square().mean(1) / noise.flatten(1).square().mean(1)
    snr = (diffusion.alpha / diffusion.sigma)[TIMES] ** 2
    torch.testing.assert_close(diffusion.loss_weight(TIMES).double(), squares * snr.clamp(max=5), rtol=1e-5, atol=0)
    assert torch.equal(Diffusion(NOISE).loss_weight(TIMES), torch.ones(len(TIMES)))


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpmsolver++", "unipc"])
@CONFIGS
def test_scheduler_with_the_true_answer_at_every_step_finds_the_clean_latents(name: Any, config: NoiseConfig) -> None:
    diffusion, sampler = Diffusion(config), build_scheduler(config, name)
    clean, latents = clean_and_noise()
    sampler.set_timesteps(20)
    assert sampler.timesteps[0] == 999
    for timestep in sampler.timesteps:
        alpha, sigma = diffusion.alpha[timestep].item(), diffusion.sigma[timestep].item()
        noise = (latents - alpha * clean) / sigma
        answer = diffusion.target(clean, noise, timestep.expand(len(clean)))
        latents = sampler.step(answer, timestep, latents, return_dict=False)[0]
    torch.testing.assert_close(latents, clean, atol=5e-3, rtol=0)


@pytest.mark.parametrize("saved", ["ddpm", "unipc"])
@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpmsolver++", "unipc"])
@CONFIGS
def test_scheduler_changed_from_another_equals_a_new_one(name: Any, saved: Any, config: NoiseConfig) -> None:
    changed, expected = change_scheduler(build_scheduler(config, saved), name), build_scheduler(config, name)
    assert type(changed) is type(expected)
    assert {key: changed.config[key] for key in expected.config} == dict(expected.config)


def test_diffusion_of_a_network_that_goes_on_saying_noise_measures_v() -> None:
    kept, (clean, noise) = Diffusion(KEPT), clean_and_noise(torch.float64)
    noisy = kept.add_noise(clean, noise, TIMES)
    velocity = kept.as_target(noise, noisy, TIMES)
    torch.testing.assert_close(velocity, Diffusion(NOISE).target(clean, noise, TIMES), atol=1e-9, rtol=1e-9)
    assert build_scheduler(KEPT, "ddim").config.prediction_type == "epsilon"
    guess = noise + 0.1
    error = (kept.as_target(guess, noisy, TIMES) - velocity).flatten(1).square().mean(1)
    torch.testing.assert_close(error, 0.01 / kept.alpha[TIMES] ** 2, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["ddim", "dpmsolver++", "unipc"])
def test_schedulers_given_the_same_model_as_noise_or_as_v_give_the_same_samples(name: Any) -> None:
    """The model believes that every latent is 0.3: a wrong but consistent answer."""
    samples = []
    for config in (EPSILON, NOISE):
        diffusion, sampler = Diffusion(config), build_scheduler(config, name)
        latents = torch.randn(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(1))
        sampler.set_timesteps(15)
        for timestep in sampler.timesteps:
            alpha, sigma = diffusion.alpha[timestep].item(), diffusion.sigma[timestep].item()
            clean = 0.3 * latents.sin()
            answer = diffusion.target(clean, (latents - alpha * clean) / sigma, timestep.expand(len(latents)))
            latents = sampler.step(answer, timestep, latents, return_dict=False)[0]
        samples.append(latents)
    torch.testing.assert_close(*samples, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("name", "steps"), [("ddpm", 1000), ("ddim", 200), ("dpmsolver++", 200), ("unipc", 200)])
@pytest.mark.parametrize("config", [NOISE, EPSILON], ids=["v", "eps"])
@pytest.mark.slow(seconds=2)
def test_sampler_with_the_exact_model_of_a_gaussian_samples_that_gaussian(
    name: Any, steps: int, config: NoiseConfig
) -> None:
    """z_0 ~ N(mean, deviation^2), so E[z_0 | z_t] is known in closed form."""
    mean, deviation = 0.7, 0.4
    diffusion, sampler = Diffusion(config), build_scheduler(config, name)
    rng = torch.Generator().manual_seed(0)
    latents = torch.randn(40_000, 1, generator=rng)
    sampler.set_timesteps(steps)
    settings = {"generator": rng} if name in {"ddpm", "ddim"} else {}
    for timestep in sampler.timesteps:
        alpha, sigma = diffusion.alpha[timestep].item(), diffusion.sigma[timestep].item()
        gain = alpha * deviation**2 / (alpha**2 * deviation**2 + sigma**2)
        clean = mean + gain * (latents - alpha * mean)
        answer = diffusion.target(clean, (latents - alpha * clean) / sigma, timestep.expand(len(latents)))
        latents = sampler.step(answer, timestep, latents, return_dict=False, **settings)[0]
    assert latents.mean().item() == pytest.approx(mean, abs=0.02)
    assert latents.std().item() == pytest.approx(deviation, rel=0.06)


def distance_from_the_ode(name: Any, steps: int, config: NoiseConfig) -> float:
    """Root mean square distance of what a sampler draws from the solution of the ODE, for z_0 ~ N(0.7, 1)."""
    mean = 0.7  # the deviation is 1, as that of scaled latents, and so it stays at every timestep
    diffusion, sampler = Diffusion(config), build_scheduler(config, name)
    start = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0))
    latents = start
    sampler.set_timesteps(steps)
    for timestep in sampler.timesteps:
        alpha, sigma = diffusion.alpha[timestep].item(), diffusion.sigma[timestep].item()
        clean = mean + alpha * (latents - alpha * mean)
        answer = diffusion.target(clean, (latents - alpha * clean) / sigma, timestep.expand(len(latents)))
        latents = sampler.step(answer, timestep, latents, return_dict=False)[0]
    return (latents - (start + (1 - diffusion.alpha[-1].item()) * mean)).square().mean().sqrt().item()


@pytest.mark.parametrize("steps", [15, 20])
@pytest.mark.parametrize("name", ["dpmsolver++", "unipc"])
@pytest.mark.parametrize("beta_end", [0.012, 0.08])
def test_multistep_solvers_come_nearer_to_the_ode_in_few_steps_than_ddim(
    name: Any, steps: int, beta_end: float
) -> None:
    config = NOISE.model_copy(update={"beta_end": beta_end})
    assert distance_from_the_ode(name, steps, config) < 0.65 * distance_from_the_ode("ddim", steps, config)
    assert distance_from_the_ode("ddim", 200, config) < 0.03


@pytest.mark.parametrize(("name", "steps"), [("ddpm", 75), ("ddim", 20), ("dpmsolver++", 20), ("unipc", 20)])
def test_usual_steps_are_the_papers_for_its_sampler_and_few_for_others(name: Any, steps: int) -> None:
    assert usual_steps(build_scheduler(NOISE, name)) == steps
