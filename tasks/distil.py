"""Stage distil: a model that draws in a few steps what stage 3 draws in many; off unless params say in how many."""

from pathlib import Path
from typing import Any

import torch

from models.config import DistilConfig, StageConfig
from models.network.mask_vae import load_mask_vae
from models.training.distillation import SAMPLER
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.cases import DISTILLED
from tasks.artifacts.content import work_key
from tasks.artifacts.manifest import Kind, seal
from tasks.ports import Tools
from tasks.training.diffusion_model import (
    about_model,
    open_inputs,
    read_by_ranks,
    save_pipeline,
    stage_training,
    write_card,
)
from tasks.training.distil import DistilTraining
from tasks.training.model_card import CARD
from tasks.training.run import run_training, write_records

OFF = "Nothing was distilled here: `distil.steps` in params.yaml is null.\n"


def distil_stage(
    latents: Path,
    vae: Path,
    teacher: Path,
    config: DistilConfig,
    train_stage3: StageConfig,
    seed: int,
    out: Path,
    tools: Tools,
) -> None:
    """Distil the averaged weights of stage 3 into a model that draws in `config.steps` steps (docs/training.md).

    Args:
        latents: Sealed set of latents.
        vae: Model folder of the mask-aware VAE that made the latents.
        teacher: Model of stage 3.
        config: The section `distil`.
        train_stage3: The section of stage 3, for its samples and its noise.
        seed: For what each sample draws.
        out: Becomes a complete MVDiffusionPipeline with averaged weights, which says its sampler and its steps; without
            `config.steps`, a sealed folder that says so and has no model.
        tools: Of the stage.

    Raises ValueError when inputs and configuration do not fit together or the memory does not suffice.
    """
    torch.set_num_threads(tools.threads)
    inputs = open_inputs(latents, teacher, vae)
    if config.steps is None:
        tools.progress.note("distil: distil.steps is null, so nothing is distilled")
        write_bytes(out / CARD, OFF.encode())
        seal(out, Kind.DIFFUSION_MODEL, config=config, inputs=inputs)
        return
    config.check(train_stage3.noise)
    stage = as_stage(config, train_stage3)
    tools.tracker.dataset(latents, "latents", inputs["latents"], "training")
    reads = {"latents": latents, "mask_vae": vae, "teacher": teacher}
    settings = config.weight_settings() | {"stage3": train_stage3.weight_settings()}
    key = work_key(Kind.DIFFUSION_MODEL, DISTILLED, settings, seed, reads=reads, tools=tools)
    student = stage_training(DISTILLED, latents, teacher, vae, stage, seed, key=key, tools=tools)
    build = DistilTraining(student, config)
    training, trained = run_training(
        "distil", build, stage, key=key, reads=read_by_ranks(latents, teacher, vae), tools=tools
    )
    unet, frozen_vae = training.model, load_mask_vae(vae)
    with trained.average.applied():
        save_pipeline(unet, frozen_vae, latents, stage, out, scheduler=SAMPLER, num_steps=config.steps)
    about = {"stage": DISTILLED, "steps": config.steps, **about_model(unet, latents, stage, teacher)}
    write_card(out, DISTILLED, stage, unet, frozen_vae, about)
    facts: dict[str, Any] = {**write_records(out, trained), **about}
    seal(out, Kind.DIFFUSION_MODEL, config=config, inputs=inputs, facts=facts)
    tools.tracker.model(out, DISTILLED)


def as_stage(config: DistilConfig, train_stage3: StageConfig) -> StageConfig:
    """Return the stage whose student, samples and noise those of the distillation are."""
    assert config.steps is not None, "nothing is distilled"
    return train_stage3.model_copy(
        update={
            "start_from": "ema",
            "optimizer": config.optimizer,
            "loop": config.loop,
            "continue_from": config.continue_from,
            "drawn_steps": config.steps if config.drawn_objects else 0,
            "drawn_objects": max(1, config.drawn_objects),
        }
    )
