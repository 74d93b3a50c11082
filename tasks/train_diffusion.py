"""Stages train-stage1 to train-stage3: the multi-view diffusion model (sec. 5.5)."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.config import StageConfig
from tasks.encode import FEATURE_EXTRACTOR, IMAGE_ENCODER
from tasks.files import write_bytes
from tasks.manifest import fingerprint, open_manifest, seal
from tasks.model_card import CARD, model_card
from tasks.ports import Tools
from tasks.training import run_training, seed_of, write_records

if TYPE_CHECKING:
    import torch

    from models.latents import LatentSet
    from models.multiview_unet import MultiViewUNet
    from models.samples import SampleReader
    from models.train_diffusion import DiffusionTraining

KIND = "diffusion_model"
RAW = "unet_raw"
"""Folder of the newest weights beside the averaged ones in `unet`."""


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
    """Train one stage; `out` becomes a complete MVDiffusionPipeline with averaged weights, and `unet_raw`.

    previous: the model of the stage before; None for the first, which builds its network.
    """
    import torch
    from diffusers import AutoencoderKL

    from models.latents import LatentSet

    torch.set_num_threads(tools.threads)
    inputs = open_inputs(latents, previous, vae)
    tools.tracker.dataset(latents, "latents", inputs["latents"], "training")
    build = partial(build_training, stage, latents, previous, vae, config, seed, tools.micro_batch)
    key = fingerprint(KIND, stage, config, seed, inputs)
    training, trained = run_training(f"train-{stage}", build, config, key=key, tools=tools)
    unet, frozen_vae = training.model, AutoencoderKL.from_pretrained(vae)
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
    seal(out, KIND, config=config, inputs=inputs, facts=facts)
    tools.tracker.model(out, stage)


def build_training(
    stage: str,
    latents: Path,
    previous: Path | None,
    vae: Path,
    config: StageConfig,
    seed: int,
    micro_batch: int | None,
    device: "torch.device",
) -> "DiffusionTraining":
    """What is trained and on what; equal in every process."""
    from diffusers import AutoencoderKL

    from models.diffusion import Diffusion
    from models.latents import LatentSet
    from models.mask_vae import scale_latents
    from models.train_diffusion import DiffusionTraining

    latent_set = LatentSet.open(latents)
    frozen_vae = AutoencoderKL.from_pretrained(vae)
    train_uids = latent_set.uids("train")
    seed_of_draws = seed_of(seed, f"train-{stage}")
    scaling_factor = frozen_vae.config.scaling_factor
    white_CHW = scale_latents(frozen_vae, latent_set.white()[0, : latent_set.layout.latent_channels])
    return DiffusionTraining(
        model=start_network(stage, latent_set, previous, config, seed).to(device),
        diffusion=Diffusion(config.noise),
        reader=make_reader(latent_set, train_uids, config, scaling_factor, seed_of_draws),
        validation=make_reader(latent_set, latent_set.uids("val") or train_uids, config, scaling_factor, seed_of_draws),
        white_CHW=white_CHW.to(device),
        micro_batch=micro_batch,
    )


def base_model(config: StageConfig, previous: Path | None) -> str | None:
    """Hub id of the published weights that the first stage began with; None for random ones or those of a folder."""
    if previous is not None:
        base: str | None = open_manifest(previous, KIND).facts.get("base")
        return base
    name = config.unet.pretrained if config.unet else None
    return None if name is None or Path(name).exists() else "/".join(name.split("/")[:2])


def open_inputs(latents: Path, previous: Path | None, vae: Path) -> dict[str, str]:
    """Fingerprints of the inputs.

    Raises ValueError when the latents were made by another VAE than the one the model will decode with.
    """
    latent_manifest, vae_manifest = open_manifest(latents, "latents"), open_manifest(vae, "mask_vae")
    if latent_manifest.inputs["mask_vae"] != vae_manifest.fingerprint:
        raise ValueError(f"{latents} was made by another VAE than {vae}; run `dvc repro encode`")
    inputs = {"latents": latent_manifest.fingerprint, "mask_vae": vae_manifest.fingerprint}
    if previous is not None:
        inputs["previous"] = open_manifest(previous, KIND).fingerprint
    return inputs


def start_network(
    stage: str, latents: "LatentSet", previous: Path | None, config: StageConfig, seed: int
) -> "MultiViewUNet":
    """The network that the stage starts from.

    Raises ValueError when the stage has no network or two, or one that does not fit its data.
    """
    from models.initialization import seeded_weights
    from models.multiview_unet import MultiViewUNet, build_unet

    layout = latents.layout
    if previous is not None:
        if config.unet is not None:
            raise ValueError(f"train_{stage}.unet is set, but the network comes from {previous}; write null")
        unet = MultiViewUNet.from_pretrained(previous / ("unet" if config.start_from == "ema" else RAW))
    elif config.unet is None:
        raise ValueError(f"train_{stage}.unet is null, but no stage comes before it; describe the network")
    else:
        with seeded_weights(seed_of(seed, f"train-{stage}", "weights")):
            unet = build_unet(
                config.unet,
                num_targets=layout.num_targets,
                latent_channels=layout.latent_channels,
                latent_size=layout.latent_size,
                geometry=layout.geometry,
            )
    width = unet.base.config.cross_attention_dim
    if width != layout.embedding_dim:
        raise ValueError(
            f"unet.cross_attention_dim is {width}, but the image embeddings have {layout.embedding_dim} numbers; "
            "make it equal to encode.image_encoder.projection_dim"
        )
    most, limit = config.multi_conditions[1], unet.config.max_condition_views
    if config.multi_condition_share > 0 and most > limit:
        raise ValueError(f"train_{stage}.multi_conditions goes up to {most}; unet.max_condition_views is {limit}")
    return unet


def make_reader(
    latents: "LatentSet", uids: list[str], config: StageConfig, scaling_factor: float, seed: int
) -> "SampleReader":
    """Samples of the given objects, drawn as the stage says.

    Raises ValueError when there are no objects.
    """
    from models.draws import SamplePlan
    from models.samples import SampleReader

    if not uids:
        raise ValueError(f"{latents.folder} has no object of the split train; lower select.val_share")
    plan = SamplePlan(
        seed=seed,
        num_items=len(uids),
        num_conditions=latents.num_conditions,
        num_targets=latents.layout.num_targets,
        kept_targets=config.kept_targets,
        multi_condition_share=config.multi_condition_share,
        multi_conditions=config.multi_conditions,
        condition_drop=config.condition_drop,
        timesteps=config.noise.timesteps,
    )
    return SampleReader(latents, uids, plan, scaling_factor)


def save_pipeline(unet: "MultiViewUNet", vae: Any, latents: Path, config: StageConfig, out: Path) -> None:
    """Everything that is needed to go from images to views."""
    from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

    from models.diffusion import scheduler
    from models.pipeline import MVDiffusionPipeline

    MVDiffusionPipeline(
        unet=unet,
        vae=vae,
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(latents / IMAGE_ENCODER),
        feature_extractor=CLIPImageProcessorPil.from_pretrained(latents / FEATURE_EXTRACTOR),
        scheduler=scheduler(config.noise, "ddpm"),
    ).save_pretrained(out)
