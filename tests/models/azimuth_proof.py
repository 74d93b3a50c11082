"""Does a network know azimuth from the picture? One object, condition views at every azimuth of the targets.

The 32 views that are drawn from a condition view are compared with the true ones, turned by each of the eight steps of
45 degrees (models.losses.azimuth): a hit if the right turn fits best. Chance is one in eight.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from models.config import GenerationInput, OptimizerConfig
from models.data.draws import aligned_views
from models.data.latents import LatentSet
from models.data.pixels import Pixels
from models.inference.sampling import sample_views
from models.losses.azimuth import AzimuthFit, fit_azimuth
from models.losses.metrics import on_white, psnr
from models.network.image_encoder import build_image_encoder, build_image_processor, embed_images
from models.network.initialization import seeded_weights
from models.network.mask_vae import decode_rgba, load_mask_vae, scale_latents
from models.network.multiview_unet import MultiViewUNet, build_unet
from models.network.noise import Diffusion, build_scheduler
from models.training.diffusion import DiffusionTraining
from models.training.history import Row
from tests.models.ball_models import GEOMETRY, LATENT, OPTIMIZER, SIDE, as_floats, encoded, fit, trained_vae
from tests.models.balls import AZIMUTHS, balls, condition, targets
from tests.models.toy_latents import make_reader
from tests.models.toy_models import NOISE, UNET, Tower

MOST_CONDITIONS = 3


@dataclass(frozen=True)
class Variant:
    """A network and its training."""

    generation_input: GenerationInput = "reference"
    view_scale: float = 1.0
    seed: int = 0
    steps: int = 1000
    batch_size: int = 4
    optimizer: OptimizerConfig = OPTIMIZER


@dataclass(frozen=True)
class Score:
    """Of the views drawn from so many condition views, one drawing for each azimuth of the first one."""

    psnr: float
    """Mean over all views in dB, on white."""
    hits: int
    """Drawings, of eight, that the right turn fits best."""


@dataclass(frozen=True)
class Solid:
    """The views of the solid and their latents."""

    vae: AutoencoderKL
    latents: LatentSet
    truth_THW4: Pixels
    """True targets; column 0 stands at azimuth 0."""
    white_CHW: Tensor
    """Scaled latent of the white image."""

    @classmethod
    def make(cls, folder: Path) -> "Solid":
        """Draw its views, and encode them; the VAE that `folder` holds from before is used again."""
        truth = np.stack([balls(camera, SIDE) for camera in targets()])
        given = np.stack([balls(replace(condition(), azimuth_deg=45.0 * column), SIDE) for column in range(AZIMUTHS)])
        views = np.concatenate([truth, given])
        if not (folder / "mask_vae").exists():
            trained_vae(views, folder).save_pretrained(folder / "mask_vae")
        vae = load_mask_vae(folder / "mask_vae").eval()
        encoder, processor = build_image_encoder(Tower(), seed=0), build_image_processor(Tower.image_size)
        embeds = embed_images(encoder, processor, list(given))
        latents = encoded(vae, views, embeds, range(AZIMUTHS), folder / "latents")
        return cls(vae, latents, truth, scale_latents(vae, latents.white()[0, :4]))

    def train(self, variant: Variant, folder: Path) -> tuple[MultiViewUNet, list[Row]]:
        """A network of two levels, trained on samples of which half have two or three condition views."""
        shape = {"block_out_channels": (32, 64), "attention_levels": (True, True), "attention_head_dim": (1, 2)}
        fields = {"generation_input": variant.generation_input, "view_scale": variant.view_scale}
        config = UNET.model_copy(update=shape | fields | {"max_condition_views": MOST_CONDITIONS})
        with seeded_weights(variant.seed):
            unet = build_unet(config, num_targets=32, latent_channels=4, latent_size=LATENT, geometry=GEOMETRY)
        plan: dict[str, Any] = {
            "seed": variant.seed,
            "num_items": 1,
            "num_conditions": AZIMUTHS,
            "multi_conditions": (2, MOST_CONDITIONS),
        }
        reader = make_reader(self.latents, self.vae.config.scaling_factor, **plan)
        training = DiffusionTraining(unet, Diffusion(NOISE), reader, reader, self.white_CHW)
        history = fit(training, variant.steps, variant.batch_size, folder, variant.optimizer)
        return unet.eval(), history

    def score(self, unet: MultiViewUNet, num_conditions: int, drawn_steps: int = 20) -> Score:
        """Draw the 32 views from each azimuth (DDIM); further condition views stand 135 and 225 degrees on."""
        offsets = (0, 3, 5)[:num_conditions]
        starts = [[(first + offset) % AZIMUTHS for offset in offsets] for first in range(AZIMUTHS)]
        drawn_ATHW4 = torch.stack([self._drawn(unet, conditions, drawn_steps) for conditions in starts])
        pairs = [(on_white(drawn), self._seen_from(first)) for first, drawn in enumerate(drawn_ATHW4)]
        hits = [turns_fitted(drawn, truth).scores()["azimuth_hit_rate"] for drawn, truth in pairs]
        return Score(psnr=torch.stack([psnr(*pair) for pair in pairs]).mean().item(), hits=round(sum(hits)))

    def _seen_from(self, column: int) -> Tensor:
        """The true targets (T, 3, H, W) on white, column 0 at another azimuth."""
        return on_white(as_floats(self.truth_THW4[aligned_views(np.arange(32), column, AZIMUTHS)]))

    def _drawn(self, unet: MultiViewUNet, conditions: Sequence[int], steps: int) -> Tensor:
        """The 32 views (T, H, W, 4) drawn from these condition views, values 0 to 1."""
        given = scale_latents(self.vae, self.latents.condition_views("balls", conditions)[:, :4])
        latents = sample_views(
            unet,
            build_scheduler(NOISE, "ddim"),
            condition_latents_BKCHW=given[None],
            embeds_BLD=self.latents.embeds("balls", np.array(conditions))[None],
            white_latent_CHW=self.white_CHW,
            target_ids=range(32),
            num_steps=steps,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
        )[0]
        return decode_rgba(self.vae, latents).movedim(1, -1)


def turns_fitted(drawn_T3HW: Tensor, truth_T3HW: Tensor) -> AzimuthFit:
    """Compare 32 drawn views with the true ones, turned by each of eight steps."""
    fit = fit_azimuth(drawn_T3HW, truth_T3HW.unflatten(0, (-1, AZIMUTHS)))
    assert fit is not None, "a ring of eight has turns"
    return fit
