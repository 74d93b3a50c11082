"""What goes into a training of a diffusion model and comes out: fingerprints, the saved pipeline, its card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import CLIPImageProcessorPil

from models.config import StageConfig
from models.data.hub_weights import HubWeights
from models.data.latents import FEATURE_EXTRACTOR, IMAGE_ENCODER, LatentSet
from models.inference.pipeline import MVDiffusionPipeline
from models.network.image_encoder import load_image_encoder
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import build_scheduler
from models.network.scheduler_names import FAST_SCHEDULER, SchedulerName
from models.training.cost import count_parameters
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.content import content_of
from tasks.artifacts.manifest import Kind, open_manifest
from tasks.artifacts.model_folder import RAW, UNET
from tasks.ports import Tools
from tasks.training.model_card import CARD, model_card
from tasks.training.run import DRAWN
from tasks.training.stage import StageTraining, training_objects


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


def save_pipeline(
    unet: MultiViewUNet,
    vae: Any,
    latents: Path,
    config: StageConfig,
    out: Path,
    *,
    scheduler: SchedulerName = FAST_SCHEDULER,
    num_steps: int | None = None,
) -> None:
    """Save everything that is needed to go from images to views.

    Args:
        unet: The network.
        vae: The mask-aware VAE.
        latents: Sealed set of latents, which has the image encoder.
        config: The stage, for its noise.
        out: The folder.
        scheduler: Sampler.
        num_steps: Steps that the network was made for; None: none in particular.
    """
    MVDiffusionPipeline(
        unet=unet,
        vae=vae,
        image_encoder=load_image_encoder(latents / IMAGE_ENCODER),
        feature_extractor=CLIPImageProcessorPil.from_pretrained(latents / FEATURE_EXTRACTOR),
        scheduler=build_scheduler(config.noise, scheduler),
        num_inference_steps=num_steps,
    ).save_pretrained(out)


def stage_training(
    name: str,
    latents: Path,
    previous: Path | None,
    vae: Path,
    config: StageConfig,
    seed: int,
    *,
    key: str,
    tools: Tools,
) -> StageTraining:
    """Return what assembles a training in any rank, with this node's copies of the latents where the profile has them.

    Args:
        name: Of the model.
        latents: Sealed set of latents.
        previous: Model that it begins with; None: a new network.
        vae: Model folder of the mask-aware VAE.
        config: The section of the stage.
        seed: For initial weights and for what each sample draws.
        key: Work key of the stage.
        tools: Of the stage.
    """
    cache = tools.latent_cache
    names = [path.name for path in shards_in(latents)]
    copy_of = None if cache is None else cache.copies(latents, names, content_of(latents, tools))
    return StageTraining(name, latents, previous, vae, config, seed, tools.compute, copy_of, tools.work / key / DRAWN)


def shards_in(latents: Path) -> list[Path]:
    """Return the shards of a set of latents, of which a rank reads what its samples need."""
    return sorted(latents.glob("latents-*.safetensors"))


def read_by_ranks(latents: Path, previous: Path | None, vae: Path) -> list[Path]:
    """Return what a rank reads of the inputs but for the shards of the latents."""
    shards = set(shards_in(latents))
    index = [path for path in sorted(latents.iterdir()) if path.is_file() and path not in shards]
    networks = [] if previous is None else [previous / name for name in (UNET, RAW) if (previous / name).exists()]
    return [*index, vae, *networks]


def about_model(unet: MultiViewUNet, latents: Path, config: StageConfig, previous: Path | None) -> dict[str, Any]:
    """Say how many objects a network has learnt from, how many parameters it has, and which weights it began with."""
    return {
        "num_objects": len(training_objects(LatentSet.open(latents), config)),
        "num_parameters": count_parameters(unet),
        "base": base_model(config, previous),
    }


def write_card(
    out: Path, stage: str, config: StageConfig, unet: MultiViewUNet, vae: Any, about: Mapping[str, Any]
) -> None:
    """Write the card of a saved model; `about` has what `model_card` asks for, but for the side in pixels."""
    side = unet.base.config.sample_size * 2 ** (len(vae.config.block_out_channels) - 1)
    write_bytes(out / CARD, model_card(stage, config, unet.config, {**about, "side": side}).encode())
