"""Stage train-vae: the mask-aware VAE on the rendered views (sec. 5.4)."""

from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from models.config import MaskVAEConfig
from models.data.hub_weights import pinned, weights_here
from models.data.images import as_unit_tensor
from models.losses.vae_loss import VAELoss
from models.network.initialization import seeded_weights
from models.network.mask_vae import build_mask_vae, calibrate_scaling
from models.network.pretrained import forget_origin
from models.network.rounded_norms import round_norms
from models.training.distributed import Ranks
from models.training.vae import VAETraining, reconstruct, sample_latents
from tasks.artifacts.content import work_key
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.randomness import seed_of
from tasks.artifacts.views import Image, ViewSet
from tasks.ports import ComputeOptions, Tools
from tasks.training.images import StoredImages, evenly_spaced, keep_in_memory, list_images, write_comparison
from tasks.training.run import run_training, write_records

NUM_VALIDATION = 16
"""Images that validation always uses, and that the sheet shows."""
NUM_CALIBRATION = 64
"""Images whose latents set the scaling factor."""


def train_mask_vae(views: Path, config: MaskVAEConfig, seed: int, out: Path, tools: Tools) -> None:
    """Train the mask-aware VAE on the views of the training objects (sec. 5.4).

    Args:
        views: Sealed set of views.
        config: The section `train_vae`.
        seed: For initial weights, crops and noise.
        out: Becomes a diffusers AutoencoderKL with averaged weights.
        tools: Of the stage.

    Raises ValueError when there is no training object or crops and views do not fit together.
    """
    torch.set_num_threads(tools.threads)
    view_set = ViewSet.open(views)
    images = list_images(view_set, "train")
    if not images:
        raise ValueError(f"{views} has no object of the split train; lower select.val_share or take more objects")
    check_sizes(config, side=images[0].shape[0])
    vae = config.vae.model_copy(update={"pretrained": pinned(config.vae.pretrained)})
    config = config.model_copy(update={"vae": vae})
    inputs = {"views": view_set.manifest.fingerprint}
    tools.tracker.dataset(views, "views", inputs["views"], "training")
    build = partial(build_training, views, config, seed, tools.compute)
    key = work_key(Kind.MASK_VAE, config.weight_settings(), seed, reads={"views": views}, tools=tools)
    reads = [views, *weights_here(config.vae.pretrained, config.lpips_weights)]
    training, trained = run_training("train-vae", build, config, key=key, reads=reads, tools=tools)
    with trained.average.applied():
        save_vae(training.model, config, images, out)
        sheet = write_sheet(training.model, validation_images(view_set), out)
    facts = write_records(out, trained) | {"scaling_factor": training.model.config.scaling_factor}
    seal(out, Kind.MASK_VAE, config=config, inputs=inputs, facts=facts)
    tools.tracker.image(sheet, "reconstructions")
    tools.tracker.model(out, Kind.MASK_VAE)


def build_training(
    views: Path,
    config: MaskVAEConfig,
    seed: int,
    compute: ComputeOptions,
    device: torch.device,
    ranks: Ranks,
) -> VAETraining:
    """Assemble what is trained and on what, alike in every rank.

    Args:
        views: Sealed set of views.
        config: The section `train_vae`.
        seed: Of the run.
        compute: Micro-batch, and whether activations are computed again.
        device: Where the VAE and the validation images go.
        ranks: All processes of the training; each keeps the whole VAE, which is small.
    """
    view_set = ViewSet.open(views)
    with seeded_weights(seed_of(seed, "train-vae", "weights")):
        vae, loss = build_mask_vae(config.vae).to(device), VAELoss(config).to(device)
    if compute.recompute_levels:
        vae.enable_gradient_checkpointing()
    if compute.rounded_norms:
        round_norms(vae)
    return VAETraining(
        model=vae,
        loss=loss,
        source=keep_in_memory(list_images(view_set, "train")),
        validation_B4HW=as_unit_tensor(validation_images(view_set), device),
        seed=seed_of(seed, "train-vae"),
        batch_size=config.loop.batch_size,
        micro_batch=compute.vae_micro_batch or compute.micro_batch,
        ranks=ranks,
    )


def validation_images(views: ViewSet) -> Image:
    """The images (N, H, W, 4) that validation always uses, of held-out objects where there are any."""
    return evenly_spaced(list_images(views, "val") or list_images(views, "train"), NUM_VALIDATION)


def check_sizes(config: MaskVAEConfig, *, side: int) -> None:
    """Raise ValueError when crops of `side` pixels cannot be made or do not go into whole latents."""
    factor = 2 ** (len(config.vae.block_out_channels) - 1)
    crop = config.crop or side
    if crop > side or crop % factor:
        raise ValueError(
            f"train_vae.crop is {config.crop} for views of {side} pixels; it must be at most that "
            f"and a multiple of {factor} (the VAE halves it {len(config.vae.block_out_channels) - 1} times)"
        )


def save_vae(vae: AutoencoderKL, config: MaskVAEConfig, images: StoredImages, out: Path) -> None:
    """Save a VAE as diffusers does; one from scratch first gets the scaling factor for latents of unit deviation."""
    if config.vae.pretrained is None:
        calibration = as_unit_tensor(evenly_spaced(images, NUM_CALIBRATION), vae.device)
        calibrate_scaling(vae, sample_latents(vae, calibration))
        vae.register_to_config(sample_size=calibration.shape[-1])  # `vae.enable_tiling` tiles what is larger
    forget_origin(vae)
    vae.save_pretrained(out)


def write_sheet(vae: AutoencoderKL, images_NHW4: Image, out: Path) -> Path:
    """Write a sheet with the reconstruction of each image below it; return its path."""
    path = out / "sheets" / "reconstructions.png"
    write_comparison(path, list(images_NHW4), reconstruct(vae, as_unit_tensor(images_NHW4, vae.device)))
    return path
