"""A diffusion stage at toy size: a network of two levels on the latents of `tests.models.toy_latents`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.config import LoopConfig, OptimizerConfig, UNetConfig
from models.data.latents import LatentSet
from models.network.initialization import seeded_weights
from models.network.multiview_unet import build_unet
from models.network.noise import Diffusion
from models.training.checkpoints import Checkpoints
from models.training.diffusion import DiffusionTraining
from models.training.distributed import SINGLE, Ranks
from models.training.loop import TrainingResult, train
from models.training.trainable import Report
from tests.models.toy_latents import LAYOUT, SCALE, make_reader
from tests.models.toy_models import NOISE

OPTIMIZER = OptimizerConfig(
    learning_rate=1e-2, betas=(0.9, 0.99), weight_decay=0.0, schedule="constant", warmup_samples=8, max_grad_norm=1.0
)
LOOP = LoopConfig(batch_size=4, samples=16, ema_decay=0.9, log_every=3, validate_every=3, checkpoint_every=3)


def make_training(
    latents: LatentSet, micro_batch: int | None = None, *, network: Mapping[str, Any] | None = None, **plan: Any
) -> DiffusionTraining:
    """A stage; `network` has fields of UNetConfig that differ, `plan` those of the plan of samples."""
    fields: dict[str, Any] = {
        "pretrained": None,
        "block_out_channels": (8, 16),
        "attention_levels": (True, True),
        "layers_per_block": 1,
        "attention_head_dim": (1, 2),
        "cross_attention_dim": 16,
        "norm_num_groups": 4,
        "condition_flag": 1,
        "max_condition_views": 10,
        "view_embedding": True,
        "global_attention": True,
    }
    config = UNetConfig(**(fields | dict(network or {})))
    with seeded_weights(0):
        unet = build_unet(config, num_targets=32, latent_channels=4, latent_size=4, geometry=LAYOUT.geometry)
    reader = make_reader(latents, **({"kept_targets": 3} | plan))
    white = latents.white()[0, :4] * SCALE
    return DiffusionTraining(unet, Diffusion(NOISE), reader, reader, white, micro_batch)


def run(
    training: DiffusionTraining,
    folder: Path,
    loop: LoopConfig = LOOP,
    *,
    checkpoints: Checkpoints | None = None,
    report: Report = lambda *_: None,
    is_stopped: bool = False,
    ranks: Ranks = SINGLE,
    optimizer: OptimizerConfig = OPTIMIZER,
) -> TrainingResult:
    return train(
        training,
        loop,
        optimizer,
        checkpoints=checkpoints or Checkpoints(folder, "toy"),
        report=report,
        stop=lambda: is_stopped,
        ranks=ranks,
    )
