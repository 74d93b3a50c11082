"""The diffusion process (sec. 4.2, 5.5): noise schedule, training targets, samplers."""

# Shapes: B sample, V view, C latent channel, H and W latent size

from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from models.config import NoiseConfig
from models.network.scheduler_names import FAST_STEPS, PAPER_STEPS
from models.network.scheduler_names import SchedulerName as SchedulerName


class Diffusion:
    """The forward process z_t = alpha_t z_0 + sigma_t eps, and what the loss compares.

    Works on latents of any shape (B, ...); alpha and sigma are tables in float64.

    Args:
        config: Noise schedule, parametrization and loss weight.
    """

    def __init__(self, config: NoiseConfig) -> None:
        self.config = config
        self.alpha = _alphas(config)
        """(timesteps,) square root of the cumulative product of 1 - beta."""
        self.sigma = (1 - self.alpha**2).sqrt()
        self._tables: dict[torch.device, Tensor] = {}

    def add_noise(self, clean_BVCHW: Tensor, noise_BVCHW: Tensor, timestep_B: Tensor) -> Tensor:
        """Return the noisy latents z_t."""
        alpha, sigma = self._at(timestep_B, clean_BVCHW)
        return alpha * clean_BVCHW + sigma * noise_BVCHW

    def target(self, clean_BVCHW: Tensor, noise_BVCHW: Tensor, timestep_B: Tensor) -> Tensor:
        """Return the target of the loss: the noise, or the velocity alpha_t eps - sigma_t z_0 (`config.prediction`)."""
        if self.config.prediction == "epsilon":
            return noise_BVCHW
        alpha, sigma = self._at(timestep_B, clean_BVCHW)
        return alpha * noise_BVCHW - sigma * clean_BVCHW

    def as_target(self, output_BVCHW: Tensor, noisy_BVCHW: Tensor, timestep_B: Tensor) -> Tensor:
        """Convert the network's output (`config.network`) to the quantity of `target` (`config.prediction`)."""
        if self.config.network == self.config.prediction:
            return output_BVCHW
        return self.target(*self.clean_and_noise(output_BVCHW, noisy_BVCHW, timestep_B), timestep_B)

    def clean_and_noise(self, output_BVCHW: Tensor, noisy_BVCHW: Tensor, timestep_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the clean latents z_0 and the noise that the network's output implies."""
        alpha, sigma = self._at(timestep_B, noisy_BVCHW)
        if self.config.network == "epsilon":
            return (noisy_BVCHW - sigma * output_BVCHW) / alpha, output_BVCHW
        return alpha * noisy_BVCHW - sigma * output_BVCHW, sigma * noisy_BVCHW + alpha * output_BVCHW

    def loss_weight(self, timestep_B: Tensor) -> Tensor:
        """Return the weight (B,) of the squared error, float32: Min-SNR (Hang et al. 2023), or 1 without a gamma."""
        if self.config.min_snr_gamma is None:
            return torch.ones(timestep_B.shape, device=timestep_B.device)
        alpha, sigma = self._on(timestep_B.device)[:, timestep_B]
        snr = (alpha / sigma) ** 2
        weight = snr.clamp(max=self.config.min_snr_gamma) / (snr if self.config.prediction == "epsilon" else snr + 1)
        return weight.float()

    def _at(self, timestep_B: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1,) + (1,) * (like.ndim - 1)
        alpha, sigma = self._on(timestep_B.device)[:, timestep_B].to(like)
        return alpha.view(shape), sigma.view(shape)

    def _on(self, device: torch.device) -> Tensor:
        """Alpha and sigma (2, timesteps) on a device, copied once: a copy for each batch would make the device wait."""
        if device not in self._tables:
            self._tables[device] = torch.stack([self.alpha, self.sigma]).to(device)
        return self._tables[device]


def build_scheduler(config: NoiseConfig, name: SchedulerName) -> Any:
    """Build a diffusers scheduler of the same process; it starts at the last timestep ("trailing" spacing)."""
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
    """Build another sampler for the process of a scheduler that `build_scheduler` made."""
    kind, settings = _SCHEDULERS[name]
    return kind.from_config(current.config, **settings)


def usual_steps(scheduler: Any) -> int:
    """Return the number of steps that a sampler draws well with: the paper's for DDPM, far fewer for all others."""
    return PAPER_STEPS if isinstance(scheduler, DDPMScheduler) else FAST_STEPS


_SCHEDULERS: dict[SchedulerName, tuple[Any, dict[str, Any]]] = {
    "ddpm": (DDPMScheduler, {"clip_sample": False}),
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "dpmsolver++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
    "unipc": (UniPCMultistepScheduler, {}),
}


def _alphas(config: NoiseConfig) -> Tensor:
    power = {"linear": 1.0, "scaled_linear": 2.0}[config.beta_schedule]
    start, end = config.beta_start ** (1 / power), config.beta_end ** (1 / power)
    betas = torch.linspace(start, end, config.timesteps, dtype=torch.float64) ** power
    alphas = (1 - betas).cumprod(0).sqrt()
    if not config.zero_terminal_snr:
        return alphas
    # Lin et al. 2024, algorithm 1: shift the last to zero and scale so that the first stays
    return (alphas - alphas[-1]) * alphas[0] / (alphas[0] - alphas[-1])
