"""The complete model as a diffusers pipeline: from images of an object to posed views of it (sec. 4)."""

# Shapes: B object, K condition view, T target, C latent channel, H and W latent size, L context token,
# D context width

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.utils import BaseOutput, logging
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from models.data.images import as_rgba, change_fov, crop_to_object, resized, to_arrays, to_tensor
from models.data.pixels import ImageInput
from models.inference.sampling import Generators, one_per_object, sample_views
from models.inference.targets import TargetCamera, cameras_of, choose_targets
from models.network import multiview_unet
from models.network.image_encoder import embed_images
from models.network.mask_vae import decode_rgba, encode_rgba, white_latent
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import SchedulerName, change_scheduler
from models.network.pretrained import align, forget_origin

# model_index.json of folders saved before 0.2 names the network's module by its old place; diffusers loads a class only
# from a module that is imported already.
sys.modules.setdefault("models.multiview_unet", multiview_unet)

LOADER = "pipeline.py"
"""File beside a saved model through which diffusers finds this class without an import by hand:
`DiffusionPipeline.from_pretrained(FOLDER, custom_pipeline=FOLDER, trust_remote_code=True)`."""
LOADER_TEXT = '''"""How diffusers finds the pipeline's class where the project is importable."""

from models.inference.pipeline import MVDiffusionPipeline as MVDiffusionPipeline
'''


@dataclass
class MVDiffusionOutput(BaseOutput):
    """Generated views of one or several objects."""

    images: list[Any]
    """T views in the order of `target_ids`, RGBA with straight alpha; for several objects one such list each. Empty for
    `output_type="latent"`."""
    target_ids: list[int]
    """Ids of the targets."""
    cameras: list[TargetCamera]
    """The camera of each view; azimuths count from the first condition image's."""
    latents: Tensor
    """(B, T, C, H, W) scaled latents, float32."""


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
    """

    model_cpu_offload_seq = "image_encoder->unet->vae"

    def __init__(
        self,
        unet: MultiViewUNet,
        vae: AutoencoderKL,
        image_encoder: CLIPVisionModelWithProjection,
        feature_extractor: CLIPImageProcessorPil,
        scheduler: Any,
    ) -> None:
        super().__init__()
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

    @torch.no_grad()
    def __call__(  # noqa: PLR0913  what users of diffusers expect to be able to say
        self,
        images: Sequence[ImageInput] | Sequence[Sequence[ImageInput]],
        *,
        masks: Sequence[ImageInput] | Sequence[Sequence[ImageInput]] | None = None,
        align_to: int = 0,
        fov_deg: float | None = None,
        object_share: float | None = None,
        num_inference_steps: int = 75,
        guidance_scale: float = 1.0,
        generator: Generators = None,
        target_ids: Sequence[int] | None = None,
        elevations_deg: Sequence[float] | None = None,
        output_type: Literal["pil", "np", "latent"] = "pil",
        callback: Callable[[int, Tensor], None] | None = None,
    ) -> MVDiffusionOutput:
        """Generate views of one object from its images, or of several objects from a list of such lists.

        Args:
            images: PIL images or uint8 arrays, with alpha, or with `masks`, or before a plain background from which
                the mask is found. Objects may have different numbers of images, up to the model's
                `max_condition_views`.
            masks: One per image, grey, white is the object; None: see `images`.
            align_to: Index of the image of each object from whose azimuth the targets' azimuths count.
            fov_deg: Full field of view in degrees that the images were taken with; None: the model's.
            object_share: Crop a square in which the object's longest side takes this share (0.5 is usual in
                training); None: images are square and are not cropped.
            num_inference_steps: Denoising steps; 75 with DDPM in the paper, 20 suffice with UniPC or DPM-Solver++.
            guidance_scale: Scale of classifier-free guidance; 1 is none and takes half the time.
            generator: Source of noise, one per object; equal states give equal views, whatever else is in the batch.
                None: torch's global generator.
            target_ids: Ids of the targets to generate, elevations outer and azimuths inner; None: all.
            elevations_deg: Instead of `target_ids`: all targets at these elevations in degrees.
            output_type: "pil" for PIL images, "np" for uint8 arrays (height, width, 4), "latent" for latents only.
            callback: Called after each step with its number, from 1, and the targets' latents (B, T, C, H, W) of one
                group of objects with equally many images.

        Returns:
            The views with their target ids, cameras and latents.

        Raises:
            ValueError: The images, masks, targets or generators do not fit the model or each other.
        """
        objects = self._objects(images, masks, align_to, fov_deg, object_share)
        geometry = self.unet.config.geometry
        targets = choose_targets(geometry, self.unet.config.num_targets, target_ids, elevations_deg)
        generators = one_per_object(generator, len(objects))
        latents: dict[int, Tensor] = {}
        counts = [len(views) for views in objects]
        groups = [[row for row, found in enumerate(counts) if found == count] for count in sorted(set(counts))]
        white = white_latent(self.vae, self.resolution, device=self._execution_device)
        with self.progress_bar(total=num_inference_steps * len(groups)) as progress:

            def on_step(step: int, latents_BTCHW: Tensor) -> None:
                progress.update()
                if callback is not None:
                    callback(step, latents_BTCHW)

            # objects with equally many images together: no padding, no masks, the fast attention kernels
            for rows in groups:
                sampled_BTCHW = sample_views(
                    self.unet,
                    self.scheduler,
                    **self._encode([objects[row] for row in rows]),
                    white_latent_CHW=white,
                    target_ids=targets,
                    num_steps=num_inference_steps,
                    guidance_scale=guidance_scale,
                    generator=None if generators is None else [generators[row] for row in rows],
                    device=self._execution_device,
                    on_step=on_step,
                )
                latents |= dict(zip(rows, sampled_BTCHW, strict=True))
        latents_BTCHW = torch.stack([latents[row] for row in range(len(objects))])
        views = [] if output_type == "latent" else [self._decode(one, output_type) for one in latents_BTCHW]
        self.maybe_free_model_hooks()
        return MVDiffusionOutput(
            images=views[0] if views and not _is_nested(images) else views,
            target_ids=targets,
            cameras=cameras_of(geometry, targets),
            latents=latents_BTCHW,
        )

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """Save every component and the loader file, without the paths that they were loaded from."""
        forget_origin(self)
        forget_origin(self.vae)
        super().save_pretrained(save_directory, *args, **kwargs)
        (Path(save_directory) / LOADER).write_text(LOADER_TEXT)

    def _objects(
        self, images: Any, masks: Any, align_to: int, fov_deg: float | None, object_share: float | None
    ) -> list[list[Image.Image]]:
        """Check and prepare the condition images of each object, the one to align to first."""
        given = images if _is_nested(images) else [images]
        if masks is None:
            masks = [[None] * len(views) for views in given]
        elif not _is_nested(masks):
            masks = [masks]
        if [len(views) for views in masks] != [len(views) for views in given]:
            raise ValueError("masks must be as many as images, for each object")
        limit = self.unet.config.max_condition_views
        for views in given:
            if not 1 <= len(views) <= limit:
                raise ValueError(f"an object has {len(views)} images; the model takes from 1 to {limit}")
            if not 0 <= align_to < len(views):
                raise ValueError(f"align_to is {align_to}; an object has {len(views)} images, counted from 0")
        return [
            [
                self._prepared(image, mask, fov_deg, object_share)
                for image, mask in _moved_to_front(align_to, list(zip(views, masks_of_object, strict=True)))
            ]
            for views, masks_of_object in zip(given, masks, strict=True)
        ]

    def _prepared(
        self, image: ImageInput, mask: ImageInput | None, fov_deg: float | None, object_share: float | None
    ) -> Image.Image:
        rgba = as_rgba(image, mask)
        if object_share is not None:
            rgba = crop_to_object(rgba, object_share)
        if fov_deg is not None:
            rgba = change_fov(rgba, fov_deg, self.unet.config.geometry["fov_deg"])
        return resized(rgba, self.resolution)

    def _encode(self, objects: list[list[Image.Image]]) -> dict[str, Tensor]:
        """Encode condition images to the arguments of `sample_views`: CLIP embeddings and scaled latents."""
        flat = [view for views in objects for view in views]
        embeds = embed_images(self.image_encoder, self.feature_extractor, flat, device=self._execution_device)
        latents = encode_rgba(self.vae, to_tensor(flat), device=self._execution_device)
        num_objects = len(objects)
        return {
            "embeds_BLD": embeds.reshape(num_objects, -1, *embeds.shape[1:]),
            "condition_latents_BKCHW": latents.reshape(num_objects, -1, *latents.shape[1:]),
        }

    def _decode(self, latents_TCHW: Tensor, output_type: str) -> list[Any]:
        arrays = to_arrays(decode_rgba(self.vae, latents_TCHW, device=self._execution_device))
        return arrays if output_type == "np" else [Image.fromarray(array) for array in arrays]


def _is_nested(images: Any) -> bool:
    """Whether `images` is a list per object rather than the images of one."""
    return len(images) > 0 and isinstance(images[0], list | tuple)


def _moved_to_front(first: int, items: list[Any]) -> list[Any]:
    """Move one item to the front."""
    return [items[first], *items[:first], *items[first + 1 :]]


def load_pipeline(folder: Path, *, scheduler: SchedulerName, device: str) -> MVDiffusionPipeline:
    """Load a saved pipeline for generating views, without progress bars.

    Args:
        folder: Where `MVDiffusionPipeline.save_pretrained` wrote, such as models_out/stage3.
        scheduler: Name of the sampler that replaces the saved one.
        device: Device of all components, such as "cpu" or "cuda".
    """
    logging.disable_progress_bar()
    pipeline = MVDiffusionPipeline.from_pretrained(folder)
    pipeline.scheduler = change_scheduler(pipeline.scheduler, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)
