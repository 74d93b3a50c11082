"""Images in, views out: the complete model as one diffusers pipeline (sec. 4)."""

# B object, K condition view, T target, C latent channel, H and W latent size, D embedding width

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

from models.diffusion import SchedulerName, change_scheduler
from models.image_encoder import embed_images
from models.images import Picture, as_pil, resized, to_arrays, to_tensor
from models.mask_vae import decode_rgba, encode_rgba, white_latent
from models.multiview_unet import MultiViewUNet
from models.pretrained import forget_origin
from models.sampling import Generators, sample_views


@dataclass
class MVDiffusionOutput(BaseOutput):
    """What a call returns."""

    images: list[Any]
    """Views in the order of `target_ids`; for several objects one such list each. RGBA with straight alpha."""
    target_ids: list[int]
    """Which targets these are; `unet.config.geometry` says where their cameras stand."""
    latents: Tensor
    """(B, T, C, H, W), scaled."""


class MVDiffusionPipeline(DiffusionPipeline):
    """Generates the target views of objects from one or several images without poses.

    The columns of targets count from the azimuth of the first condition image.
    """

    def __init__(
        self,
        unet: MultiViewUNet,
        vae: AutoencoderKL,
        image_encoder: CLIPVisionModelWithProjection,
        feature_extractor: CLIPImageProcessorPil,
        scheduler: Any,
    ) -> None:
        super().__init__()
        self.register_modules(
            unet=unet,
            vae=vae,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
            scheduler=scheduler,
        )

    @property
    def resolution(self) -> int:
        """Side of images and views in pixels."""
        num_halvings = len(self.vae.config.block_out_channels) - 1
        return int(self.unet.base.config.sample_size * 2**num_halvings)

    @torch.no_grad()
    def __call__(
        self,
        images: Sequence[Picture] | Sequence[Sequence[Picture]],
        *,
        num_inference_steps: int,
        guidance_scale: float = 1.0,
        generator: Generators = None,
        target_ids: Sequence[int] | None = None,
        output_type: Literal["pil", "np"] = "pil",
        callback: Callable[[int, Tensor], None] | None = None,
    ) -> MVDiffusionOutput:
        """Generate views of one object from its images, or of several objects from a list of such lists.

        images: square RGBA, straight alpha, as PIL or uint8 arrays; equally many for each object.
        generator: one per object; the same generator state gives the same views, whatever else is in the batch.
        target_ids: which targets to generate; None for all.
        output_type: PIL images, or uint8 arrays (H, W, 4).
        callback: called with the step, from 1, and the targets' latents (B, T, C, H, W).
        """
        objects = self._objects(images)
        targets = self._targets(target_ids)
        with self.progress_bar(total=num_inference_steps) as progress:

            def on_step(step: int, latents_BTCHW: Tensor) -> None:
                progress.update()
                if callback is not None:
                    callback(step, latents_BTCHW)

            latents_BTCHW = sample_views(
                self.unet,
                self.scheduler,
                **self._encode(objects),
                target_ids=targets,
                num_steps=num_inference_steps,
                guidance_scale=guidance_scale,
                generator=generator,
                on_step=on_step,
            )
        views = [self._decode(latents_TCHW, output_type) for latents_TCHW in latents_BTCHW]
        is_single = not _is_nested(images)
        return MVDiffusionOutput(images=views[0] if is_single else views, target_ids=targets, latents=latents_BTCHW)

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """Save every component; the folder does not tell where they were loaded from."""
        forget_origin(self)
        forget_origin(self.vae)
        super().save_pretrained(save_directory, *args, **kwargs)

    def _objects(self, images: Any) -> list[list[Image.Image]]:
        """Checked condition images at the network's resolution, per object."""
        given = images if _is_nested(images) else [images]
        counts = sorted({len(views) for views in given})
        limit = self.unet.config.max_condition_views
        if len(counts) != 1 or not 1 <= counts[0] <= limit:
            raise ValueError(f"objects have {counts} images; each needs the same number, from 1 to {limit}")
        return [[resized(as_pil(view), self.resolution) for view in views] for views in given]

    def _targets(self, target_ids: Sequence[int] | None) -> list[int]:
        num_targets = self.unet.config.num_targets
        targets = list(range(num_targets)) if target_ids is None else list(target_ids)
        if not targets or len(set(targets)) < len(targets) or not set(targets) <= set(range(num_targets)):
            raise ValueError(f"target_ids is {targets}; it must hold different numbers from 0 to {num_targets - 1}")
        return targets

    def _encode(self, objects: list[list[Image.Image]]) -> dict[str, Tensor]:
        """What the condition images are to the network."""
        flat = [view for views in objects for view in views]
        embeds = embed_images(self.image_encoder, self.feature_extractor, flat)
        latents = encode_rgba(self.vae, to_tensor(flat))
        num_objects = len(objects)
        return {
            "embeds_BLD": embeds.reshape(num_objects, -1, *embeds.shape[1:]),
            "condition_latents_BKCHW": latents.reshape(num_objects, -1, *latents.shape[1:]),
            "white_latent": white_latent(self.vae, self.resolution),
        }

    def _decode(self, latents_TCHW: Tensor, output_type: Literal["pil", "np"]) -> list[Any]:
        arrays = to_arrays(decode_rgba(self.vae, latents_TCHW))
        return arrays if output_type == "np" else [Image.fromarray(array) for array in arrays]


def _is_nested(images: Any) -> bool:
    """Whether `images` is a list per object rather than the images of one."""
    return len(images) > 0 and isinstance(images[0], list | tuple)


def load_pipeline(folder: Path, *, scheduler: SchedulerName, device: str) -> MVDiffusionPipeline:
    """A saved pipeline with the sampler of that name, on `device`, without progress bars."""
    logging.disable_progress_bar()
    pipeline = MVDiffusionPipeline.from_pretrained(folder)
    pipeline.scheduler = change_scheduler(pipeline.scheduler, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)
