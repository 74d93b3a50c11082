"""Twenty steps of each kind of training, at toy size: `python -m tests.golden.losses` writes losses.txt anew."""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.config import LoopConfig, OptimizerConfig
from models.network.noise import Diffusion
from models.training.checkpoints import Checkpoints
from models.training.loop import train
from tests.golden.recipes import FOLDER
from tests.models import toy_diffusion
from tests.models.toy_latents import write_toy_latents
from tests.models.toy_models import NOISE
from tests.models.training import test_vae

LOSSES = FOLDER / "losses.txt"
STEPS = 20
OPTIMIZER = OptimizerConfig(
    learning_rate=1e-3, betas=(0.9, 0.99), weight_decay=0.01, schedule="cosine", warmup_samples=20, max_grad_norm=1.0
)


def loss_table() -> str:
    """A line per step: the loss of the VAE, of stage 1 (noise, one view) and of stage 3 (v, one or several views)."""
    columns = {"vae": vae, "stage1": lambda folder: stage(folder, 1), "stage3": lambda folder: stage(folder, 3)}
    with tempfile.TemporaryDirectory() as folder:
        curves = [losses(make, Path(folder) / name) for name, make in columns.items()]
    rows = ["step " + " ".join(columns)]
    rows += [f"{step} " + " ".join(f"{loss:.5g}" for loss in row) for step, row in enumerate(zip(*curves, strict=True))]
    return "\n".join(rows) + "\n"


def losses(make: Callable[[Path], Any], folder: Path) -> list[float]:
    """Of every step."""
    batch_size = 6
    loop = LoopConfig(
        batch_size=batch_size,
        samples=STEPS * batch_size,
        ema_decay=0.9,
        log_every=1,
        validate_every=STEPS,
        checkpoint_every=STEPS,
    )
    checkpoints = Checkpoints(folder / "checkpoints", "golden")
    done = train(make(folder), loop, OPTIMIZER, checkpoints=checkpoints, report=lambda *_: None, stop=lambda: False)
    return [row["train/loss"] for row in done.history]


def vae(_folder: Path) -> Any:
    """The mask-aware VAE on discs."""
    return test_vae.make_training(test_vae.make_config())


def stage(folder: Path, number: int) -> Any:
    """A stage on latents that say where they stand."""
    latents = write_toy_latents(folder / "latents")
    training = toy_diffusion.make_training(latents, multi_condition_share=0.0 if number == 1 else 0.5)
    name = "epsilon" if number == 1 else "v_prediction"
    noise = NOISE.model_copy(update={"prediction": name, "network": name})
    return replace(training, diffusion=Diffusion(noise))


if __name__ == "__main__":
    torch.set_num_threads(1)
    LOSSES.write_text(loss_table())
    sys.stdout.write(f"wrote {LOSSES}\n")
