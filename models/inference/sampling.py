"""The sampling loop, from noise to the latents of the target views (sec. 4.2), which pipeline and training share."""

# Shapes: B object, K condition view, T target, V = K + T view, C latent channel, H and W latent size,
# L = K context token, D context width

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from models.network.conditioning import assemble_conditioning
from models.network.multiview_unet import MultiViewUNet

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One per sample, or one alone for all samples of a single object; None draws from torch's global generator."""
OnStep = Callable[[int, Tensor, Tensor], Tensor]
"""Receives the number of a step, from 1, its timestep and the targets' latents (B, T, C, H, W); returns the latents to
go on with."""


@torch.no_grad()
def sample_views(  # noqa: PLR0913  the pipeline's call, spelt in tensors
    unet: MultiViewUNet,
    scheduler: Any,
    *,
    condition_latents_BKCHW: Tensor,
    embeds_BLD: Tensor,
    white_latent_CHW: Tensor,
    target_ids: Sequence[int],
    num_steps: int,
    guidance_scale: float,
    generator: Generators,
    device: torch.device | None = None,
    latents_BTCHW: Tensor | None = None,
    on_step: OnStep | None = None,
    is_interrupted: Callable[[], bool] = lambda: False,
) -> Tensor:
    """Generate the latents of target views; condition views are denoised along and dropped at the end.

    Args:
        unet: The network.
        scheduler: A diffusers scheduler (models.network.noise.build_scheduler); its state is reset.
        condition_latents_BKCHW: Scaled clean latents of the condition images, the reference first.
        embeds_BLD: CLIP embeddings of the condition images.
        white_latent_CHW: Scaled latent of the white image.
        target_ids: The T targets to generate.
        num_steps: Denoising steps.
        guidance_scale: Scale of classifier-free guidance; 1 is none, otherwise the network also runs with the empty
            condition, whose targets are given the white image by any network.
        generator: Noise of each object, so that the others in a batch do not change it, or one for all in turn. The
            targets' noise, initial and in the steps, is then the same for any number of condition views. None:
            torch's generator.
        device: Where to compute; None: the network's device.
        latents_BTCHW: Noise of unit variance that the targets start from; None: drawn.
        on_step: Called after each step.
        is_interrupted: Asked before each step; once true, the latents stay as they are.

    Returns:
        (B, T, C, H, W) scaled latents, float32.
    """
    B, K, *shape = condition_latents_BKCHW.shape
    generators = generator if generator is None or isinstance(generator, torch.Generator) else list(generator)
    device = device or unet.device
    conditionings = [
        assemble_conditioning(
            unet,
            condition_latents_BKCHW=latents.to(device, unet.dtype),
            embeds_BKD=embeds.to(device, unet.dtype),
            white_latent_CHW=white_latent_CHW.to(device, unet.dtype),
            target_ids_BT=torch.tensor(list(target_ids), device=device).expand(B, -1),
            is_dropped_B=torch.full((B,), fill_value=is_empty, device=device),
        )
        for latents, embeds, is_empty in _conditions(
            condition_latents_BKCHW, embeds_BLD, with_empty=guidance_scale != 1
        )
    ]
    scheduler.set_timesteps(num_steps, device=device)
    draw = partial(randn_tensor, generator=generators, device=device, dtype=torch.float32)
    # the targets' noise first, so that it is the same for any number of condition views
    targets = draw((B, len(target_ids), *shape)) if latents_BTCHW is None else latents_BTCHW.to(device, torch.float32)
    step_settings: dict[str, Any] = {}
    if generators is not None and "generator" in inspect.signature(scheduler.step).parameters:
        step_settings["generator"] = _step_generators(generators, B, num_conditions=K, num_targets=len(target_ids))
    latents_BVCHW = torch.cat([draw((B, K, *shape)), targets], dim=1) * scheduler.init_noise_sigma
    for step, timestep in enumerate(scheduler.timesteps, start=1):
        if is_interrupted():
            break
        scaled = scheduler.scale_model_input(latents_BVCHW, timestep).to(unet.dtype)
        outputs = [unet(scaled, timestep.expand(B), **vars(given)).float() for given in conditionings]
        predicted = outputs[0] if len(outputs) == 1 else torch.lerp(outputs[1], outputs[0], guidance_scale)
        # each view is an item of the scheduler's batch, since a scheduler draws the noise of each item separately
        flat = scheduler.step(
            predicted.flatten(0, 1), timestep, latents_BVCHW.flatten(0, 1), return_dict=False, **step_settings
        )[0]
        latents_BVCHW = flat.unflatten(0, (B, -1))
        if on_step is not None:
            latents_BVCHW = torch.cat([latents_BVCHW[:, :K], on_step(step, timestep, latents_BVCHW[:, K:])], dim=1)
    return latents_BVCHW[:, K:]


def _step_generators(
    generators: torch.Generator | Sequence[torch.Generator], num_objects: int, *, num_conditions: int, num_targets: int
) -> list[torch.Generator]:
    """Return a generator for each of the (B V) views, from which a scheduler such as DDPM draws the noise of its steps.

    The condition views of an object share one generator and its targets another, so the targets' noise does not depend
    on the number of condition views. Both are seeded from the state of the object's own generator, which is unchanged.
    """
    given = [generators] if isinstance(generators, torch.Generator) else generators
    pairs = [_forked(generator) for generator in given]
    pairs = pairs * num_objects if len(pairs) == 1 else pairs
    return [drawn for condition, target in pairs for drawn in [condition] * num_conditions + [target] * num_targets]


def _forked(generator: torch.Generator) -> tuple[torch.Generator, torch.Generator]:
    """Return two generators seeded from the state of another, which is unchanged."""
    ahead = torch.Generator(generator.device)
    ahead.set_state(generator.get_state())
    seeds = torch.randint(2**63 - 1, (2,), generator=ahead, device=ahead.device).tolist()
    first, second = (torch.Generator(ahead.device).manual_seed(seed) for seed in seeds)
    return first, second


def _conditions(latents_BKCHW: Tensor, embeds_BLD: Tensor, *, with_empty: bool) -> list[tuple[Tensor, Tensor, bool]]:
    """The condition latents and embeddings of one forward pass or, with guidance, of two: the second is empty."""
    given = (latents_BKCHW, embeds_BLD, False)
    empty = (torch.zeros_like(latents_BKCHW), torch.zeros_like(embeds_BLD), True)
    return [given, empty] if with_empty else [given]
