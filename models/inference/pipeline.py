"""The complete model as a diffusers pipeline: from images of an object to posed views of it (sec. 4)."""

# Shapes: B sample, K condition view, T target, C latent channel, H and W latent size, L context token,
# D context width

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import logging
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from models.data.images import as_rgba, change_fov, crop_to_object, rendered_rgba, resized, to_tensor
from models.data.weight_files import require_safetensors
from models.inference.callbacks import TENSOR_INPUTS, StepCallbacks
from models.inference.checks import (
    check_finite,
    check_guidance,
    check_latents,
    check_samples,
    check_steps,
    generators_of,
)
from models.inference.code import code_of
from models.inference.inputs import AnyImage, as_objects, to_picture
from models.inference.outputs import MVDiffusionOutput, OutputType, check_output_type, in_form
from models.inference.sampling import Generators, sample_views
from models.inference.targets import cameras_of, choose_targets
from models.network import multiview_unet
from models.network.image_encoder import embed_images
from models.network.mask_vae import decode_rgba, encode_rgba, white_latent
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import SchedulerName, change_scheduler, usual_steps
from models.network.pretrained import align, forget_origin
from models.network.scheduler_names import FAST_SCHEDULER

# model_index.json of folders saved before 0.2 names the network's module by its old place; diffusers loads a class only
# from a module that is imported already.
sys.modules.setdefault("models.multiview_unet", multiview_unet)

PIPELINE_MODULE, UNET_MODULE = "pipeline", "multiview_unet"
"""Files of a saved folder that define its classes: pipeline.py, whose name diffusers prescribes, and one in unet/."""


class MVDiffusionPipeline(DiffusionPipeline):
    """Generates 32 posed views of an object from one or several images without poses (sec. 4).

    Loads, saves and moves like any diffusers pipeline; `enable_model_cpu_offload`, `vae.enable_slicing` and
    `unet.set_attention_chunk` save memory.

    Args:
        unet: The multi-view UNet; its config has the cameras of the targets.
        vae: The mask-aware VAE, 4 channels in and out (models.network.mask_vae).
        image_encoder: CLIP's vision model with projection.
        feature_extractor: CLIP's preprocessing.
        scheduler: A diffusers scheduler of the process that the UNet was trained on
            (models.network.noise.build_scheduler).
        num_inference_steps: Denoising steps that the model was made for, with this scheduler; None: as many as the
            scheduler usually takes.
    """

    model_cpu_offload_seq = "image_encoder->unet->vae"
    _callback_tensor_inputs = TENSOR_INPUTS
    _guidance_scale = 1.0
    _num_timesteps = 0
    _interrupt = False

    def __init__(
        self,
        unet: ModelMixin,  # a MultiViewUNet, but diffusers compares classes, and a saved folder brings its own
        vae: AutoencoderKL,
        image_encoder: CLIPVisionModelWithProjection,
        feature_extractor: CLIPImageProcessorPil,
        scheduler: Any,
        num_inference_steps: int | None = None,
    ) -> None:
        super().__init__()
        if num_inference_steps is not None:  # else model_index.json is that of all models before
            self.register_to_config(num_inference_steps=num_inference_steps)
        # here, since DiffusionPipeline.from_pretrained(custom_pipeline=...) loads vae and image encoder by itself
        self.register_modules(
            unet=align(unet),
            vae=align(vae),
            image_encoder=align(image_encoder),
            feature_extractor=feature_extractor,
            scheduler=scheduler,
        )

    @property
    def resolution(self) -> int:
        """Side of images and views in pixels."""
        num_halvings = len(self.vae.config.block_out_channels) - 1
        return int(self.unet.base.config.sample_size * 2**num_halvings)

    @property
    def default_steps(self) -> int:
        """Denoising steps of a call that names none: those that the model was made for, else the scheduler's usual."""
        recorded: int | None = self.config.get("num_inference_steps")
        return usual_steps(self.scheduler) if recorded is None else recorded

    @property
    def guidance_scale(self) -> float:
        """Scale of classifier-free guidance of the call that runs or ran last."""
        return self._guidance_scale

    @property
    def num_timesteps(self) -> int:
        """Denoising steps of the call that runs or ran last, of each group of objects with equally many images."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """Whether a callback has stopped the call by setting `_interrupt`."""
        return self._interrupt

    @torch.no_grad()
    def __call__(  # noqa: PLR0913  what users of diffusers expect to be able to say
        self,
        images: AnyImage | Sequence[AnyImage] | Sequence[Sequence[AnyImage]],
        *,
        masks: AnyImage | Sequence[AnyImage] | Sequence[Sequence[AnyImage]] | None = None,
        align_to: int = 0,
        fov_deg: float | None = None,
        object_share: float | None = None,
        check_masks: bool = True,
        num_inference_steps: int | None = None,
        guidance_scale: float = 1.0,
        num_samples_per_object: int = 1,
        generator: Generators = None,
        latents: Tensor | None = None,
        target_ids: Sequence[int] | None = None,
        elevations_deg: Sequence[float] | None = None,
        output_type: OutputType = "pil",
        return_dict: bool = True,
        callback: Callable[[int, Tensor], None] | None = None,
        callback_on_step_end: Callable[..., Mapping[str, Tensor] | None] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> MVDiffusionOutput | Any:
        """Generate views of one object from its images, or of several objects from a list of such lists.

        Args:
            images: One image, or a list of the images of one object, or a list of such lists. PIL images, paths,
                arrays (H, W, 3 or 4) or tensors (3 or 4, H, W), uint8 or floats from 0 to 1, with alpha, or with
                `masks`, or before a plain background from which the mask is found. An array or tensor with one axis
                more is the images of one object, with two axes more those of several. Objects may have different
                numbers of images, up to the model's `max_condition_views`.
            masks: One per image, grey, white is the object; None: see `images`.
            align_to: Index of the image of each object from whose azimuth the targets' azimuths count. It takes the
                first place among the condition views, so it is also the reference of networks whose targets are given
                one (`unet.config.generation_input`).
            fov_deg: Full field of view in degrees that the images were taken with; None: the model's.
            object_share: Crop a square in which the object's longest side takes this share (0.5 is usual in
                training); None: images are square and are not cropped.
            check_masks: False: the images are RGBA as a renderer leaves them, and their alpha is the mask even where it
                shows nearly nothing, as of a sign that is seen edge-on. True: photos, whose masks are looked at.
            num_inference_steps: Denoising steps; None: those that the model was made for, else 20, which suffice with
                UniPC or DPM-Solver++, and with DDPM the paper's 75.
            guidance_scale: Scale of classifier-free guidance, for models trained with condition dropout; 1 is none and
                takes half the time.
            num_samples_per_object: Independent samples of each object at once, as `num_images_per_prompt` elsewhere.
            generator: Source of noise. A list with one per object and sample: equal states give equal views, whatever
                else is in the batch. One alone serves all samples of a single object in turn. None: torch's global
                generator.
            latents: Noise of unit variance (B, T, C, H, W) that the targets start from, B the objects times the
                samples; None: drawn. The condition views' noise is always drawn.
            target_ids: Ids of the targets to generate, elevations outer and azimuths inner; None: all.
            elevations_deg: Instead of `target_ids`: all targets at these elevations in degrees.
            output_type: "pil" for PIL images, "np" for a float32 array (T, H, W, 4) from 0 to 1, "pt" for a tensor
                (T, 4, H, W), "latent" for latents only.
            return_dict: False: a tuple of images, target ids, cameras and latents.
            callback: Called after each step with its number, from 1, and the targets' latents (B, T, C, H, W) of one
                group of objects with equally many images.
            callback_on_step_end: Called after each step, as in other pipelines of diffusers, with this pipeline, the
                number of the step, from 0, its timestep and a dict of tensors; what it returns under "latents"
                replaces them, None changes nothing. Setting `_interrupt` of the pipeline ends the sampling.
            callback_on_step_end_tensor_inputs: What the dict holds: "latents", as for `callback`.

        Returns:
            The views with their target ids, cameras and latents. With several objects, or several samples, `images` is
            a list with an entry for each: the samples of the first object, then those of the second.

        Raises:
            ValueError: An argument is none that the model can use, or they do not fit each other.
        """
        check_output_type(output_type)
        num_steps = self._checked_steps(num_inference_steps)
        check_guidance(guidance_scale, self.unet.config.condition_drop)
        check_samples(num_samples_per_object)
        asked = getattr(callback_on_step_end, "tensor_inputs", callback_on_step_end_tensor_inputs)
        callbacks = StepCallbacks(self, callback, callback_on_step_end, asked)
        geometry = self.unet.config.geometry
        targets = choose_targets(geometry, self.unet.config.num_targets, target_ids, elevations_deg)
        objects, are_several = self._objects(images, masks, align_to, fov_deg, object_share, check_masks=check_masks)
        num_samples = len(objects) * num_samples_per_object
        generators = generators_of(generator, len(objects), num_samples_per_object)
        check_latents(latents, (num_samples, len(targets), *self._latent_shape))
        self._guidance_scale, self._interrupt = guidance_scale, False
        self.scheduler.set_timesteps(num_steps, device=self._execution_device)
        self._num_timesteps = len(self.scheduler.timesteps)
        white = white_latent(self.vae, self.resolution, device=self._execution_device)
        sampled: dict[int, Tensor] = {}
        # objects with equally many images together: no padding, no masks, the fast attention kernels
        groups = _rows_by(len, objects)
        with self.progress_bar(total=self._num_timesteps * len(groups)) as progress:

            def on_step(step: int, timestep: Tensor, latents_BTCHW: Tensor) -> Tensor:
                progress.update()
                return callbacks(step, timestep, latents_BTCHW)

            for rows in groups:
                which = [row * num_samples_per_object + draw for row in rows for draw in range(num_samples_per_object)]
                sampled_BTCHW = sample_views(
                    self.unet,
                    self.scheduler,
                    **self._encode([objects[row] for row in rows], num_samples_per_object),
                    white_latent_CHW=white,
                    target_ids=targets,
                    num_steps=num_steps,
                    guidance_scale=guidance_scale,
                    generator=[generators[index] for index in which] if isinstance(generators, list) else generators,
                    device=self._execution_device,
                    latents_BTCHW=None if latents is None else latents[which],
                    on_step=on_step,
                    is_interrupted=lambda: self._interrupt,
                )
                sampled |= dict(zip(which, sampled_BTCHW, strict=True))
        latents_BTCHW = torch.stack([sampled[index] for index in range(num_samples)])
        check_finite(latents_BTCHW, self.unet)
        views = [] if output_type == "latent" else [self._decode(one, output_type) for one in latents_BTCHW]
        self.maybe_free_model_hooks()
        output = MVDiffusionOutput(
            images=views[0] if views and not are_several and num_samples_per_object == 1 else views,
            target_ids=targets,
            cameras=cameras_of(geometry, targets),
            latents=latents_BTCHW,
        )
        return output if return_dict else output.to_tuple()

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **settings: Any) -> Any:
        """Make a pipeline of another's components, as diffusers does; only `settings` are replaced."""
        return super().from_pipe(pipeline, **pipeline.components | settings)

    @classmethod
    def load_config(cls, *args: Any, **settings: Any) -> Any:
        """Read model_index.json; its classes are this one and its network's, not those that the folder brings along."""
        loaded = super().load_config(*args, **settings)
        index = loaded[0] if isinstance(loaded, tuple) else loaded
        index |= {"_class_name": cls.__name__, "unet": [MultiViewUNet.__module__, MultiViewUNet.__name__]}
        return loaded

    def save_pretrained(self, save_directory: str | Path, *args: Any, **settings: Any) -> None:
        """Save every component and the code that they need, without the paths that they were loaded from.

        The folder loads where this project is not installed, also from a hub:
        `DiffusionPipeline.from_pretrained(FOLDER, custom_pipeline=FOLDER, trust_remote_code=True)`.
        """
        forget_origin(self)
        forget_origin(self.vae)
        super().save_pretrained(str(save_directory), *args, **settings)

    def save_config(self, save_directory: str | Path, *args: Any, **settings: Any) -> None:
        """Save model_index.json and the two files of code that it names."""
        folder, unet = Path(save_directory), getattr(self.unet, "_orig_mod", self.unet)  # torch.compile wraps it
        for path, kind in ((folder / PIPELINE_MODULE, type(self)), (folder / "unet" / UNET_MODULE, type(unet))):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".py").write_text(code_of(kind), encoding="utf-8")
        super().save_config(save_directory, *args, **settings)

    def to_json_string(self) -> str:
        """The text of model_index.json, which names the classes by the files that the folder brings along."""
        index = json.loads(super().to_json_string())
        index["_class_name"] = [PIPELINE_MODULE, index["_class_name"]]
        index["unet"][0] = UNET_MODULE
        return json.dumps(index, indent=2, sort_keys=True) + "\n"

    @property
    def _latent_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        base = self.unet.base.config
        return base.out_channels, base.sample_size, base.sample_size

    def _checked_steps(self, num_steps: int | None) -> int:
        """Return the number of denoising steps, the default for None, which the scheduler can make."""
        num_steps = self.default_steps if num_steps is None else num_steps
        check_steps(num_steps, self.scheduler)
        return num_steps

    def _objects(
        self,
        images: Any,
        masks: Any,
        align_to: int,
        fov_deg: float | None,
        object_share: float | None,
        *,
        check_masks: bool,
    ) -> tuple[list[list[Image.Image]], bool]:
        """Check and prepare the condition images of each object, the one to align to first."""
        if masks is not None and not check_masks:
            raise ValueError("masks are given too; without check_masks give RGBA images alone, whose alpha is the mask")
        given, are_several = as_objects(images)
        masks_of = [[None] * len(views) for views in given] if masks is None else as_objects(masks, "masks")[0]
        if [len(views) for views in masks_of] != [len(views) for views in given]:
            raise ValueError("masks must be as many as images, for each object")
        for views in given:
            self._check_count(len(views), align_to)
        prepared: list[list[Image.Image]] = []
        for row, (views, covers) in enumerate(zip(given, masks_of, strict=True)):
            prepared.append([])
            for index, (image, mask) in enumerate(zip(views, covers, strict=True)):
                try:
                    cover = None if mask is None else to_picture(mask, is_mask=True)
                    rgba = as_rgba(to_picture(image), cover) if check_masks else rendered_rgba(to_picture(image))
                    prepared[row].append(self._fitted(rgba, fov_deg, object_share))
                except ValueError as error:
                    raise ValueError(f"image {index} of object {row}: {error}") from error
        return [_moved_to_front(align_to, views) for views in prepared], are_several

    def _check_count(self, num_images: int, align_to: int) -> None:
        """Raise ValueError when an object has more images than the model takes, or not the one to align to."""
        limit = self.unet.config.max_condition_views
        if num_images > limit:
            excess = num_images - limit
            raise ValueError(
                f"an object has {num_images} images; the model takes from 1 to {limit}: leave {excess} out"
            )
        if not 0 <= align_to < num_images:
            raise ValueError(
                f"align_to is {align_to}; an object has {num_images} images, counted from 0 to {num_images - 1}"
            )

    def _fitted(self, rgba: Image.Image, fov_deg: float | None, object_share: float | None) -> Image.Image:
        """Bring an image to the field of view and the size of the model's views."""
        if object_share is not None:
            rgba = crop_to_object(rgba, object_share)
        if fov_deg is not None:
            rgba = change_fov(rgba, fov_deg, self.unet.config.geometry["fov_deg"])
        return resized(rgba, self.resolution)

    def _encode(self, objects: list[list[Image.Image]], num_samples: int) -> dict[str, Tensor]:
        """Encode condition images to the arguments of `sample_views`, for `num_samples` samples of each object."""
        flat = [view for views in objects for view in views]
        embeds = embed_images(self.image_encoder, self.feature_extractor, flat, device=self._execution_device)
        latents = encode_rgba(self.vae, to_tensor(flat), device=self._execution_device)
        embeds_BLD, latents_BKCHW = (found.reshape(len(objects), -1, *found.shape[1:]) for found in (embeds, latents))
        return {
            "embeds_BLD": embeds_BLD.repeat_interleave(num_samples, dim=0),
            "condition_latents_BKCHW": latents_BKCHW.repeat_interleave(num_samples, dim=0),
        }

    def _decode(self, latents_TCHW: Tensor, output_type: OutputType) -> Any:
        rgba_T4HW = decode_rgba(self.vae, latents_TCHW, device=self._execution_device)
        check_finite(rgba_T4HW, self.vae)
        return in_form(rgba_T4HW, output_type)


def _rows_by(key: Callable[[Any], int], items: Sequence[Any]) -> list[list[int]]:
    """Group the indices of items by a number, in ascending order of it."""
    numbers = [key(item) for item in items]
    return [[row for row, found in enumerate(numbers) if found == number] for number in sorted(set(numbers))]


def _moved_to_front(first: int, items: list[Any]) -> list[Any]:
    """Move one item to the front."""
    return [items[first], *items[:first], *items[first + 1 :]]


def load_pipeline(
    folder: Path, *, scheduler: SchedulerName | None, device: str, dtype: torch.dtype = torch.float32
) -> MVDiffusionPipeline:
    """Load a saved pipeline for generating views, without progress bars.

    Args:
        folder: Where `MVDiffusionPipeline.save_pretrained` wrote, such as models_out/stage3.
        scheduler: Name of the sampler that replaces the saved one; None: the saved one of a model that was made for a
            number of steps, UniPC for all others.
        device: Device of all components, such as "cpu" or "cuda".
        dtype: Of UNet and image encoder. The VAE is float32 whatever it is: bfloat16 shows in what it decodes, and it
            takes a small part of the time (docs/model.md).

    Raises:
        ValueError: A part has its weights as a pickle alone.
    """
    logging.disable_progress_bar()
    dtypes = {"unet": dtype, "image_encoder": dtype, "default": torch.float32}
    require_safetensors(folder)
    pipeline = MVDiffusionPipeline.from_pretrained(folder, dtype=dtypes, use_safetensors=True)
    is_made_for_steps = pipeline.config.get("num_inference_steps") is not None
    if scheduler is not None or not is_made_for_steps:
        pipeline.scheduler = change_scheduler(pipeline.scheduler, scheduler or FAST_SCHEDULER)
        if is_made_for_steps:
            pipeline.register_to_config(num_inference_steps=None)  # they are for the scheduler that was saved
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)
