"""Timesteps of one noise schedule in terms of another: where both leave the same ratio of signal to noise.

A network pretrained on one schedule and trained on by another knows each noise level by another timestep. Told the
timesteps that it knows, it begins as good as it was.
"""

from pathlib import Path, PurePosixPath

import numpy as np
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from models.data.hub_weights import HubWeights
from models.network.pretrained import load_published

SCHEDULER = "scheduler"
"""Folder beside a network's in the layout of diffusers."""


def equal_noise_timesteps(alpha: Tensor, pretrained_alpha: Tensor) -> list[float]:
    """Return for each timestep the one of the pretrained schedule with the same ratio of signal to noise.

    Args:
        alpha: (timesteps,) square root of the cumulative product of 1 - beta, falling.
        pretrained_alpha: The same of the schedule that the network knows.

    Returns:
        One number for each timestep, to three digits; noisier ones than the pretrained schedule has are its last.
    """
    ours, theirs = (torch.arccos(table.double()).numpy() for table in (alpha, pretrained_alpha))
    return [round(float(step), 3) for step in np.interp(ours, theirs, np.arange(len(theirs)))]


def pretrained_alphas(name: str) -> Tensor:
    """Read the schedule that lies beside pretrained weights, as alpha of each timestep in float64.

    Args:
        name: Folder or hub id of the network; the schedule is the folder `scheduler` beside it.

    Raises:
        ValueError: A folder has no schedule beside it.
    """
    if Path(name).is_dir():
        place = str(Path(name).parent / SCHEDULER)
        if not (Path(place) / DDPMScheduler.config_name).is_file():
            raise ValueError(
                f"unet.timestep_map is pretrained, but {place} has no {DDPMScheduler.config_name}; put the one of the "
                "pretrained pipeline there, or set unet.timestep_map to none"
            )
    else:
        weights = HubWeights.parse(name)
        subfolder = str(PurePosixPath(weights.subfolder).parent / SCHEDULER)
        place = str(HubWeights(weights.repository, weights.revision, subfolder))
    scheduler = load_published(DDPMScheduler.from_pretrained, place)
    return torch.as_tensor(scheduler.alphas_cumprod, dtype=torch.float64).sqrt()
