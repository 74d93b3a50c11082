"""Refuses arguments of the pipeline that would give nonsense, before anything is computed."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging
from torch import Tensor

logger = logging.get_logger(__name__)


def check_steps(num_inference_steps: Any, scheduler: Any) -> None:
    """Raise ValueError unless the scheduler can make this many steps, or for one of another kind of process."""
    if not hasattr(scheduler, "init_noise_sigma"):
        raise ValueError(
            f"the scheduler is a {type(scheduler).__name__}, which is not made for a network that predicts noise or "
            "velocity; give one that diffusers makes from the saved one's config, e.g. UniPCMultistepScheduler"
        )
    most = scheduler.config.num_train_timesteps
    if not _is_whole(num_inference_steps) or not 1 <= num_inference_steps <= most:
        raise ValueError(f"num_inference_steps is {num_inference_steps}; give a whole number from 1 to {most}")


def check_guidance(scale: Any, condition_drop: float | None) -> None:
    """Raise ValueError for a scale of classifier-free guidance that the model was not trained for.

    Args:
        scale: The scale; 1 is none.
        condition_drop: Share of the model's training samples without condition; None: unknown, for models saved before
            it was recorded, which are used with a warning.
    """
    if not isinstance(scale, Real) or not 1 <= float(scale) < math.inf:
        raise ValueError(f"guidance_scale is {scale}; give a number of at least 1, which is no guidance")
    if scale == 1:
        return
    if condition_drop == 0:
        raise ValueError(
            f"guidance_scale is {scale:g}, but the model was trained without condition dropout, so it does not know "
            "the empty condition to guide away from; give 1, or train with condition_drop above 0"
        )
    if condition_drop is None:
        logger.warning(
            f"The model does not say whether it was trained with condition dropout; guidance_scale {scale:g} makes "
            "noise if it was not."
        )


def check_samples(num_samples: Any) -> None:
    """Raise ValueError unless `num_samples` is a whole number from 1."""
    if not _is_whole(num_samples) or num_samples < 1:
        raise ValueError(f"num_samples_per_object is {num_samples}; give a whole number of at least 1")


def generators_of(generator: Any, num_objects: int, num_samples: int) -> list[torch.Generator] | torch.Generator | None:
    """Return one generator per sample, or one alone for all samples of a single object.

    Raises ValueError for another number of generators, or for something else.
    """
    if generator is None:
        return None
    given = [generator] if not isinstance(generator, Sequence) else list(generator)
    for one in given:
        if not isinstance(one, torch.Generator):
            raise ValueError(f"generator is {one!r}; give torch.Generator().manual_seed(SEED), or a list of them")
    if len(given) == 1 and num_objects == 1:
        return given[0]
    if len(given) != num_objects * num_samples:
        samples = f" with {num_samples} samples each" if num_samples > 1 else ""
        raise ValueError(f"{len(given)} generators for {num_objects} objects{samples}; give one per object and sample")
    return given


def check_latents(latents: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `latents` is a tensor of floats of this shape (B, T, C, H, W), or None."""
    if latents is None:
        return
    found = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
    if found != shape or not latents.is_floating_point():
        raise ValueError(
            f"latents is {found}; give a float tensor {shape}: objects times samples, targets, channels, height, width"
        )


def check_finite(values: Tensor, model: Any) -> None:
    """Raise ValueError when a network computed values that are not finite, which would become black views."""
    if not values.isfinite().all():
        raise ValueError(
            f"{type(model).__name__} computed values that are not finite, in {model.dtype}; use torch.bfloat16 or "
            "torch.float32, or look at the model's training"
        )


def _is_whole(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)
