"""Stages train-stage1 to train-stage3: the multi-view diffusion model (sec. 5.5)."""

from pathlib import Path
from typing import Any

import torch

from models.config import StageConfig
from models.data.hub_weights import pinned, weights_here
from models.network.mask_vae import load_mask_vae
from tasks.artifacts.content import work_key
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.model_folder import RAW
from tasks.ports import Tools
from tasks.training.diffusion_model import (
    about_model,
    open_inputs,
    read_by_ranks,
    save_pipeline,
    stage_training,
    write_card,
)
from tasks.training.run import run_training, write_records


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
    build = stage_training(stage, latents, previous, vae, config, seed, key=key, tools=tools)
    given = weights_here(config.unet.pretrained) if config.unet is not None else []
    read = [*read_by_ranks(latents, previous, vae), *given]
    training, trained = run_training(f"train-{stage}", build, config, key=key, reads=read, tools=tools)
    unet, frozen_vae = training.model, load_mask_vae(vae)
    unet.register_to_config(condition_drop=config.condition_drop)
    with trained.average.applied():
        save_pipeline(unet, frozen_vae, latents, config, out)
    unet.save_pretrained(out / RAW)
    about = {"stage": stage, **about_model(unet, latents, config, previous)}
    write_card(out, stage, config, unet, frozen_vae, about)
    facts: dict[str, Any] = {**write_records(out, trained), **about}
    seal(out, Kind.DIFFUSION_MODEL, config=config, inputs=inputs, facts=facts)
    tools.tracker.model(out, stage, leave_out=[RAW])
