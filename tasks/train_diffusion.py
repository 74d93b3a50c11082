"""Stages train-stage1 to train-stage3: the multi-view diffusion model (sec. 5.5)."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPImageProcessorPil

from models.config import StageConfig
from models.data.hub_weights import HubWeights, pinned
from models.data.latents import FEATURE_EXTRACTOR, IMAGE_ENCODER, LatentSet
from models.inference.pipeline import MVDiffusionPipeline
from models.network.image_encoder import load_image_encoder
from models.network.mask_vae import load_mask_vae
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import build_scheduler
from models.network.scheduler_names import FAST_SCHEDULER
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.content import content_of, work_key
from tasks.artifacts.manifest import Kind, open_manifest, seal
from tasks.ports import Tools
from tasks.training.model_card import CARD, model_card
from tasks.training.run import DRAWN, run_training, write_records
from tasks.training.stage import RAW, StageTraining


def train_stage(
    stage: str,
    latents: Path,
    previous: Path | None,
    vae: Path,
    config: StageConfig,
    seed: int,
    out: Path,
    tools: Tools,
) -> None:
    """Train one stage of the multi-view diffusion model (sec. 5.5).

    Args:
        stage: stage1, stage2 or stage3.
        latents: Sealed set of latents.
        previous: Model of the stage before; None for the first, which builds its network.
        vae: Model folder of the mask-aware VAE that made the latents.
        config: The section of the stage.
        seed: For initial weights and for what each sample draws.
        out: Becomes a complete MVDiffusionPipeline with averaged weights; `unet_raw` in it has the newest ones.
        tools: Of the stage.

    Raises ValueError when inputs, network and configuration do not fit together or the memory does not suffice.
    """
    torch.set_num_threads(tools.threads)
    inputs = open_inputs(latents, previous, vae)
    if config.unet is not None:
        unet_config = config.unet.model_copy(update={"pretrained": pinned(config.unet.pretrained)})
        config = config.model_copy(update={"unet": unet_config})
    tools.tracker.dataset(latents, "latents", inputs["latents"], "training")
    reads = {"latents": latents, "mask_vae": vae} | ({} if previous is None else {"previous": previous})
    key = work_key(Kind.DIFFUSION_MODEL, stage, config.weight_settings(), seed, reads=reads, tools=tools)
    sheet = tools.work / key / DRAWN
    cache = tools.compute.latent_cache
    copy_of = None if cache is None else partial(cache.path, content_of(latents, tools))
    build = StageTraining(stage, latents, previous, vae, config, seed, tools.compute, copy_of, sheet)
    training, trained = run_training(f"train-{stage}", build, config, key=key, tools=tools)
    unet, frozen_vae = training.model, load_mask_vae(vae)
    unet.register_to_config(condition_drop=config.condition_drop)
    with trained.average.applied():
        save_pipeline(unet, frozen_vae, latents, config, out)
    unet.save_pretrained(out / RAW)
    about = {
        "stage": stage,
        "num_objects": len(LatentSet.open(latents).uids("train")),
        "num_parameters": sum(parameter.numel() for parameter in unet.parameters()),
        "base": base_model(config, previous),
    }
    side = unet.base.config.sample_size * 2 ** (len(frozen_vae.config.block_out_channels) - 1)
    write_bytes(out / CARD, model_card(stage, config, unet.config, about | {"side": side}).encode())
    facts: dict[str, Any] = {**write_records(out, trained), **about}
    seal(out, Kind.DIFFUSION_MODEL, config=config, inputs=inputs, facts=facts)
    tools.tracker.model(out, stage)


def base_model(config: StageConfig, previous: Path | None) -> str | None:
    """Return the hub id of the weights that the first stage began with; None for random ones or those of a folder."""
    if previous is not None:
        base: str | None = open_manifest(previous, Kind.DIFFUSION_MODEL).facts.get("base")
        return base
    name = config.unet.pretrained if config.unet else None
    return None if name is None or Path(name).exists() else HubWeights.parse(name).repository


def open_inputs(latents: Path, previous: Path | None, vae: Path) -> dict[str, str]:
    """Return the fingerprints of the inputs.

    Raises ValueError when the latents were made by another VAE than the one the model will decode with.
    """
    latent_manifest, vae_manifest = open_manifest(latents, Kind.LATENTS), open_manifest(vae, Kind.MASK_VAE)
    if latent_manifest.inputs["mask_vae"] != vae_manifest.fingerprint:
        raise ValueError(f"{latents} was made by another VAE than {vae}; run `dvc repro encode`")
    inputs = {"latents": latent_manifest.fingerprint, "mask_vae": vae_manifest.fingerprint}
    if previous is not None:
        inputs["previous"] = open_manifest(previous, Kind.DIFFUSION_MODEL).fingerprint
    return inputs


def save_pipeline(unet: MultiViewUNet, vae: Any, latents: Path, config: StageConfig, out: Path) -> None:
    """Save everything that is needed to go from images to views."""
    MVDiffusionPipeline(
        unet=unet,
        vae=vae,
        image_encoder=load_image_encoder(latents / IMAGE_ENCODER),
        feature_extractor=CLIPImageProcessorPil.from_pretrained(latents / FEATURE_EXTRACTOR),
        scheduler=build_scheduler(config.noise, FAST_SCHEDULER),
    ).save_pretrained(out)
