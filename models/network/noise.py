"""The diffusion process (sec. 4.2, 5.5): noise schedule, training targets, samplers."""

from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from models.config import NoiseConfig
from models.network.scheduler_names import SchedulerName as SchedulerName


class Diffusion:
    """z_t = alpha_t z_0 + sigma_t noise; tables in float64, timesteps (B,) against latents (B, ...)."""

    def __init__(self, config: NoiseConfig) -> None:
        _check(config)
        self.config = config
        self.alpha = _alphas(config)
        """(timesteps,) square root of the cumulative product of 1 - beta."""
        self.sigma = (1 - self.alpha**2).sqrt()

    def add_noise(self, clean: Tensor, noise: Tensor, timestep_B: Tensor) -> Tensor:
        """z_t."""
        alpha, sigma = self._at(timestep_B, clean)
        return alpha * clean + sigma * noise

    def target(self, clean: Tensor, noise: Tensor, timestep_B: Tensor) -> Tensor:
        """What the network should say: the noise, or the velocity alpha_t noise - sigma_t z_0."""
        if self.config.prediction == "epsilon":
            return noise
        alpha, sigma = self._at(timestep_B, clean)
        return alpha * noise - sigma * clean

    def predicted(self, output: Tensor, noisy: Tensor, timestep_B: Tensor) -> Tensor:
        """The network's output as what `target` is."""
        if self.config.network == self.config.prediction:
            return output
        return self.target(*self.clean_and_noise(output, noisy, timestep_B), timestep_B)

    def clean_and_noise(self, output: Tensor, noisy: Tensor, timestep_B: Tensor) -> tuple[Tensor, Tensor]:
        """z_0 and noise that the network's output implies."""
        alpha, sigma = self._at(timestep_B, noisy)
        if self.config.network == "epsilon":
            return (noisy - sigma * output) / alpha, output
        return alpha * noisy - sigma * output, sigma * noisy + alpha * output

    def loss_weight(self, timestep_B: Tensor) -> Tensor:
        """(B,) float32 factor of the squared error: Min-SNR (Hang et al. 2023), or 1 without a gamma."""
        if self.config.min_snr_gamma is None:
            return torch.ones(timestep_B.shape, device=timestep_B.device)
        snr = (self.alpha / self.sigma) ** 2
        weight = snr.clamp(max=self.config.min_snr_gamma) / (snr if self.config.prediction == "epsilon" else snr + 1)
        return weight.to(timestep_B.device)[timestep_B].float()

    def _at(self, timestep_B: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1,) + (1,) * (like.ndim - 1)
        tables = torch.stack([self.alpha, self.sigma]).to(timestep_B.device)
        alpha, sigma = tables[:, timestep_B].to(like)
        return alpha.view(shape), sigma.view(shape)


def scheduler(config: NoiseConfig, name: SchedulerName) -> Any:
    """A diffusers scheduler for the same process. It starts at the last timestep, as training does ("trailing")."""
    _check(config)
    kind, settings = _SCHEDULERS[name]
    return kind(
        num_train_timesteps=config.timesteps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.beta_schedule,
        prediction_type=config.network,
        rescale_betas_zero_snr=config.zero_terminal_snr,
        timestep_spacing="trailing",
        **settings,
    )


def change_scheduler(current: Any, name: SchedulerName) -> Any:
    """Another sampler for the process of a scheduler that `scheduler` made."""
    kind, settings = _SCHEDULERS[name]
    return kind.from_config(current.config, **settings)


_SCHEDULERS: dict[SchedulerName, tuple[Any, dict[str, Any]]] = {
    "ddpm": (DDPMScheduler, {"clip_sample": False}),
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "dpmsolver++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
    "unipc": (UniPCMultistepScheduler, {}),
}


def _check(config: NoiseConfig) -> None:
    if config.zero_terminal_snr and "epsilon" in {config.prediction, config.network}:
        raise ValueError(
            "zero_terminal_snr is true and prediction or network is epsilon, which says nothing about z_0 at the last "
            "step; use v_prediction"
        )


def _alphas(config: NoiseConfig) -> Tensor:
    power = {"linear": 1.0, "scaled_linear": 2.0}[config.beta_schedule]
    start, end = config.beta_start ** (1 / power), config.beta_end ** (1 / power)
    betas = torch.linspace(start, end, config.timesteps, dtype=torch.float64) ** power
    alphas = (1 - betas).cumprod(0).sqrt()
    if not config.zero_terminal_snr:
        return alphas
    # Lin et al. 2024, algorithm 1: shift the last to zero, keep the first
    return (alphas - alphas[-1]) * alphas[0] / (alphas[0] - alphas[-1])
