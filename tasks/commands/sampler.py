"""Samples the views of objects from cut-out photos with one loaded model: for a command, a page and a service."""

# Shapes: T target, C latent channel, H and W latent size

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.config import AttentionKernel, Precision
from models.data.images import to_arrays
from models.inference.pipeline import load_pipeline
from models.inference.precision import DTYPES, tensor_float32
from models.network.attention_kernels import load_kernel
from models.network.mask_vae import decode_rgba
from models.network.scheduler_names import SchedulerName
from render.cameras import Camera
from render.images import Rgba
from render.views import ViewKind
from tasks.artifacts.model_folder import most_conditions

PREVIEWS = 8
"""Views of the first object that a preview shows: a row of the paper's."""


@dataclass(frozen=True)
class Compute:
    """How the networks compute."""

    device: str
    """torch device."""
    precision: Precision
    attention_kernel: AttentionKernel = "auto"
    attention_chunk: int | None = None
    """Tokens that attention takes at once; None: all."""


@dataclass(frozen=True)
class SampleSettings:
    """How views are sampled; equal for all objects of one call. `tasks.commands.sample_options` says what they mean."""

    steps: int | None = None
    guidance: float = 1.0
    align_to: int = 0
    elevations_deg: tuple[float, ...] | None = None
    fov_deg: float | None = None
    share: float | None = 0.5
    """Share of the image's side that the object is made to take; None: images are framed already."""


@dataclass(frozen=True)
class SampledViews:
    """The generated views of one object."""

    cameras: list[Camera]
    images: list[Rgba]
    """(H, W, 4) each, one for each camera."""


@dataclass(frozen=True)
class Step:
    """A denoising step that has ended."""

    number: int
    """From 1."""
    total: int
    preview: Callable[[], list[Rgba]]
    """Decodes the first views of the first object as they are now, noisy until the last step."""


OnStep = Callable[[Step], bool]
"""Told of each step; says whether to go on."""


class InterruptedSamplingError(RuntimeError):
    """Somebody did not want the views any more."""


class Sampler:
    """A model in memory that samples the views of one or several objects at a time.

    Args:
        model: Folder of a saved pipeline, such as models_out/stage3.
        compute: How it computes.
        scheduler: Name of the sampler; None: the model's own, else UniPC.
        shows_bar: Whether a bar on stderr shows the steps.

    Raises:
        ValueError: `model` holds no pipeline.
    """

    def __init__(
        self,
        model: Path,
        compute: Compute,
        scheduler: SchedulerName | None = None,
        *,
        shows_bar: bool = False,
    ) -> None:
        check_model(model)
        self._compute = compute
        with self._computing():
            self._pipeline = load_pipeline(
                model, scheduler=scheduler, device=compute.device, dtype=DTYPES[compute.precision]
            )
        self._pipeline.set_progress_bar_config(disable=not shows_bar, desc="views")
        if compute.attention_chunk is None:
            kernel = load_kernel(compute.attention_kernel, compute.device, compute.precision)
            self._pipeline.unet.set_attention_kernel(kernel)
        else:
            self._pipeline.unet.set_attention_chunk(compute.attention_chunk)

    @property
    def max_photos(self) -> int:
        """Photos of an object that the model takes, at most."""
        return int(self._pipeline.unet.config.max_condition_views)

    @property
    def num_views(self) -> int:
        """Views that the model makes of an object."""
        return int(self._pipeline.unet.config.num_targets)

    @property
    def resolution(self) -> int:
        """Side of a view in pixels."""
        return self._pipeline.resolution

    @property
    def default_steps(self) -> int:
        """Denoising steps where the settings name none."""
        return self._pipeline.default_steps

    def sample(
        self,
        objects: Sequence[Sequence[Image.Image]],
        settings: SampleSettings,
        seeds: Sequence[int],
        on_step: OnStep | None = None,
    ) -> list[SampledViews]:
        """Sample the views of objects, together where they have equally many photos.

        Args:
            objects: The cut-out photos of each object, RGBA.
            settings: How they are sampled.
            seeds: Of the initial noise, one for each object: whatever else is in the call, equal seeds give equal views
                but for rounding.
            on_step: Told of each step.

        Raises:
            ValueError: A setting or the number of photos is none that the model can use.
            InterruptedSamplingError: `on_step` said not to go on.
        """
        with self._computing():
            sampled = self._pipeline(
                [list(photos) for photos in objects],
                align_to=settings.align_to,
                fov_deg=settings.fov_deg,
                object_share=settings.share,
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                elevations_deg=settings.elevations_deg,
                callback_on_step_end=None if on_step is None else partial(self._after_step, on_step),
            )
        if self._pipeline.interrupt:
            raise InterruptedSamplingError("the sampling was stopped before its last step")
        cameras = [
            Camera(ViewKind.TARGET.view_name(target), at.azimuth_deg, at.elevation_deg, at.distance, at.fov_deg)
            for target, at in zip(sampled.target_ids, sampled.cameras, strict=True)
        ]
        return [SampledViews(cameras, [np.array(image) for image in images]) for images in sampled.images]

    def _after_step(
        self, on_step: OnStep, pipeline: Any, index: int, timestep: Any, tensors: Mapping[str, Tensor]
    ) -> None:
        del timestep
        latents_TCHW = tensors["latents"][0, :PREVIEWS]
        if not on_step(Step(index + 1, pipeline.num_timesteps, partial(self._decode, latents_TCHW))):
            pipeline._interrupt = True  # the name that diffusers gives it

    @torch.no_grad()
    def _decode(self, latents_TCHW: Tensor) -> list[Rgba]:
        return to_arrays(decode_rgba(self._pipeline.vae, latents_TCHW, device=latents_TCHW.device))

    def _computing(self) -> Any:
        return tensor_float32(self._compute.device, self._compute.precision)


def check_photos(model: Path, num_photos: int, align_to: int) -> None:
    """Raise ValueError for more photos than a saved pipeline takes, or none to align to; its weights are not read."""
    most = most_conditions(model)
    if most is not None and num_photos > most:
        raise ValueError(
            f"there are {num_photos} photos, and {model} takes at most {most}: leave {num_photos - most} out"
        )
    if align_to >= num_photos:
        raise ValueError(f"--align-to is {align_to}; photos are counted from 0, so it can be at most {num_photos - 1}")


def check_model(model: Path) -> None:
    """Raise ValueError unless a folder holds a saved pipeline."""
    if not (model / "model_index.json").exists():
        raise ValueError(
            f"{model} has no model_index.json: name the folder of a saved pipeline, e.g. models_out/stage3"
        )
