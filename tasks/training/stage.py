"""What a diffusion stage trains, on what, and from which weights: assembled alike in every process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from models.config import StageConfig
from models.data.draws import SamplePlan
from models.data.latents import LatentSet
from models.data.samples import SampleReader
from models.network.attention import unasked_parameters
from models.network.attention_kernels import load_kernel
from models.network.initialization import seeded_weights
from models.network.kernel_needs import ON_PROCESSORS
from models.network.mask_vae import load_mask_vae, scale_latents
from models.network.multiview_unet import MultiViewUNet, build_unet
from models.network.noise import Diffusion
from models.network.recomputed_feed_forward import recompute_feed_forward
from models.network.rounded_norms import round_norms
from models.training.compiled import compile_in_place, may_choose_layouts, parts_of
from models.training.diffusion import DiffusionTraining
from models.training.distributed import SINGLE, Ranks
from models.training.sharding import shard
from models.training.validation import ValidationSampler
from tasks.artifacts.model_folder import RAW, UNET
from tasks.artifacts.randomness import seed_of, share_of
from tasks.artifacts.views import Image
from tasks.ports import ComputeOptions
from tasks.training.images import write_comparison


@dataclass(frozen=True)
class StageTraining:
    """Assembles the training of a diffusion stage in any rank; pickles."""

    stage: str
    latents: Path
    previous: Path | None
    vae: Path
    config: StageConfig
    seed: int
    compute: ComputeOptions
    copy_of: Callable[[str], Path] | None
    """Where this node's copy of a shard of the latents lies; None: the shards are read in `latents`."""
    sheet: Path
    """File for the views that each validation samples."""

    def __call__(self, device: torch.device, ranks: Ranks) -> DiffusionTraining:
        """Return the trainable on `device`, its weights split among `ranks` if that is asked for.

        Raises ValueError when network, data and stage do not fit together.
        """
        latents = LatentSet.open(self.latents, self.copy_of)
        vae = load_mask_vae(self.vae)
        unet = start_network(self.stage, latents, self.previous, self.config, self.seed)
        if self.config.optimizer.decayed == "matrices" and self.config.multi_condition_share == 0:
            for weight in unasked_parameters(unet):
                weight.requires_grad_(False)
        self.set_kernel(unet, device)
        unet.recompute_levels(self.compute.recompute_levels)
        if self.compute.recompute_feed_forward:
            recompute_feed_forward(unet)
        if self.compute.rounded_norms:
            round_norms(unet)
        is_split = self.compute.shard_weights and ranks.size > 1
        if is_split:
            is_half = device.type == "cuda" and self.config.loop.precision == "bf16"
            shard(unet, device, ranks, gathered=torch.bfloat16 if is_half else None)
        unet.to(device)
        if self.compute.compile:
            layouts = may_choose_layouts(device)
            for part in parts_of(unet) if ranks.size > 1 else [unet]:
                compile_in_place(part, layouts=layouts)
        train_uids = training_objects(latents, self.config)
        held_out = latents.uids("val") or train_uids
        make_reader = partial(
            read_samples,
            latents,
            config=self.config,
            scaling_factor=vae.config.scaling_factor,
            seed=seed_of(self.seed, f"train-{self.stage}"),
        )
        reader, validation = make_reader(train_uids), make_reader(held_out)
        white_CHW = scale_latents(vae, latents.white()[0, : latents.layout.latent_channels]).to(device)
        return DiffusionTraining(
            model=unet,
            diffusion=Diffusion(self.config.noise),
            reader=reader,
            validation=validation,
            white_CHW=white_CHW,
            micro_batch=self.compute.micro_batch,
            sampler=None
            if self.config.drawn_steps == 0
            else ValidationSampler(
                vae=vae.to(device),
                noise=self.config.noise,
                latents=latents,
                uids=held_out[: self.config.drawn_objects],
                num_steps=self.config.drawn_steps,
                white_CHW=white_CHW,
                show=partial(write_comparison, self.sheet) if ranks.is_first else ignore,
            ),
            ranks=ranks if is_split else SINGLE,
        )

    def set_kernel(self, unet: MultiViewUNet, device: torch.device) -> None:
        """Let `unet` attend by the profile's kernel; raises ValueError when it does not serve this training here."""
        name = self.compute.attention_kernel
        # beside ranks on cards the stage's own process is on the processor, and computes nothing
        if device.type == "cuda" or name in ON_PROCESSORS:
            precision = self.config.loop.precision
            unet.set_attention_kernel(load_kernel(name, device, precision, precision_key="loop.precision"))


def ignore(_drawn: Sequence[Image], _truth: Sequence[Image]) -> None:
    """Show nothing: the first rank does."""


def start_network(
    stage: str, latents: LatentSet, previous: Path | None, config: StageConfig, seed: int
) -> MultiViewUNet:
    """Build or load the network that the stage starts from.

    Raises ValueError when the stage has no network or two, or one that does not fit its data.
    """
    layout = latents.layout
    config.check_network(is_first=previous is None)
    if previous is not None:
        unet = MultiViewUNet.from_pretrained(
            previous / (UNET if config.start_from == "ema" else RAW), use_safetensors=True
        )
    else:
        assert config.unet is not None, "check_network has refused it"
        with seeded_weights(seed_of(seed, f"train-{stage}", "weights")):
            unet = build_unet(
                config.unet,
                num_targets=layout.num_targets,
                latent_channels=layout.latent_channels,
                latent_size=layout.latent_size,
                geometry=layout.geometry,
                noise=config.noise,
            )
    width = unet.base.config.cross_attention_dim
    if width != layout.embedding_dim:
        raise ValueError(
            f"unet.cross_attention_dim is {width}, but the image embeddings have {layout.embedding_dim} numbers; "
            "make it equal to encode.image_encoder.projection_dim"
        )
    config.check_views(
        num_targets=layout.num_targets,
        num_conditions=latents.num_conditions,
        max_condition_views=unet.config.max_condition_views,
    )
    return unet


def training_objects(latents: LatentSet, config: StageConfig) -> list[str]:
    """Return the sorted uids of the objects that a training learns from: `max_objects` of the split train, or all."""
    uids = latents.uids("train")
    if config.max_objects is None or config.max_objects >= len(uids):
        return uids
    return sorted(sorted(uids, key=lambda uid: share_of("train", uid))[: config.max_objects])


def read_samples(
    latents: LatentSet, uids: list[str], *, config: StageConfig, scaling_factor: float, seed: int
) -> SampleReader:
    """Return a reader of training samples of the given objects, chosen at random as the stage says.

    Raises ValueError when there are no objects.
    """
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
