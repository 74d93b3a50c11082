"""Samples per second of the training loop, and of the data it is fed with: `python -m tests.bench.train`.

The real loop on latents of random numbers, in one process; reading is timed alone as well (make bench-train).
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from models.config import LoopConfig, OptimizerConfig
from models.data.latent_index import LatentLayout, ObjectRow
from models.data.latents import LatentSet, ObjectLatents, write_index, write_shard
from models.data.samples import SampleReader
from models.network.noise import Diffusion
from models.training.checkpoints import Checkpoints
from models.training.diffusion import DiffusionTraining
from models.training.loop import train
from tests.bench.model_worker import DIVISOR, GEOMETRY, network
from tests.models.toy_latents import make_reader
from tests.models.toy_models import NOISE

TARGETS, CONDITIONS, PER_SHARD = 32, 10, 16
OPTIMIZER = OptimizerConfig(
    learning_rate=1e-4, betas=(0.9, 0.99), weight_decay=0.01, schedule="constant", warmup_samples=0, max_grad_norm=1.0
)


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    arguments = _parser().parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        latents = write_latents(folder / "latents", arguments)
        numbers = {"reading": reading_rate(latents, arguments.kept)} | training_rates(latents, folder, arguments)
    table = Table(title=f"1 + {arguments.kept} views of {arguments.side} x {arguments.side}, {arguments.device}")
    table.add_column("", style="bold")
    table.add_column(f"{arguments.width} width", justify="right")
    rows = {
        "samples/s read, one thread": f"{numbers['reading']:.1f}",
        "samples/s trained": f"{numbers['train/samples_per_second']:.3g}",
        "read / trained": f"{numbers['reading'] / numbers['train/samples_per_second']:.1f}",
        "waiting for data": f"{100 * numbers['train/data_wait_share']:.1f} %",
        "peak memory, GiB": f"{numbers['train/memory_gib']:.2f}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(width=100).print(table)
    if arguments.out:
        arguments.out.write_text(json.dumps(numbers, indent=1))


def write_latents(folder: Path, arguments: argparse.Namespace) -> LatentSet:
    """Objects of random numbers in shards, as stage encode leaves them."""
    folder.mkdir()
    width = 1024 // DIVISOR[arguments.width]
    rng = torch.Generator().manual_seed(0)
    shape = (TARGETS + CONDITIONS, 8, arguments.side, arguments.side)
    rows: dict[str, ObjectRow] = {}
    for first in range(0, arguments.objects, PER_SHARD):
        name = f"latents-{first // PER_SHARD:05d}.safetensors"
        items = {
            f"o{index:05d}": ObjectLatents(
                torch.randn(shape, generator=rng), torch.randn(CONDITIONS, width, generator=rng)
            )
            for index in range(first, min(first + PER_SHARD, arguments.objects))
        }
        write_shard(folder / name, items)
        rows |= {uid: ObjectRow(name, "train", list(range(CONDITIONS))) for uid in items}
    layout = LatentLayout(TARGETS, 8, 4, arguments.side, width, GEOMETRY)
    write_index(folder, layout, torch.randn(1, 8, arguments.side, arguments.side, generator=rng), rows)
    return LatentSet.open(folder)


def single(latents: LatentSet, kept: int) -> SampleReader:
    """Samples of one condition view and `kept` targets."""
    count = {"num_items": len(latents.objects), "num_conditions": CONDITIONS, "kept_targets": kept}
    return make_reader(latents, **count, multi_condition_share=0.0)


def reading_rate(latents: LatentSet, kept: int) -> float:
    """Samples read per second in one thread, each object twice; the first time warms the files up."""
    reader, count = single(latents, kept), len(latents.objects)
    for number in range(count):
        reader.read(number)
    start = time.perf_counter()
    for number in range(count, 2 * count):
        reader.read(number)
    return count / (time.perf_counter() - start)


def training_rates(latents: LatentSet, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """What the loop reports of its last steps."""
    unet = network(arguments.width, arguments.side).to(arguments.device)
    reader = single(latents, arguments.kept)
    white = latents.white()[0, :4].to(arguments.device)
    training = DiffusionTraining(unet, Diffusion(NOISE), reader, reader, white, arguments.micro_batch)
    loop = LoopConfig(
        batch_size=arguments.batch,
        samples=3 * arguments.steps * arguments.batch,
        ema_decay=0.999,
        log_every=arguments.steps,
        validate_every=10**9,
        checkpoint_every=10**9,
        precision="bf16" if arguments.device == "cuda" else "fp32",
    )
    reported: dict[str, float] = {}

    def report(samples_seen: int, metrics: Mapping[str, float]) -> None:
        if samples_seen == 2 * arguments.steps * arguments.batch:  # the first third warms up, the last one validates
            reported.update(metrics)

    checkpoints = Checkpoints(folder / "checkpoints", "bench")
    train(training, loop, OPTIMIZER, checkpoints=checkpoints, report=report, stop=lambda: False)
    return reported


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.train", description=__doc__)
    parser.add_argument("--width", choices=tuple(DIVISOR), default="quarter", help="of the paper's network")
    parser.add_argument("--side", type=int, default=16, help="of the latents; 64 in the paper")
    parser.add_argument("--kept", type=int, default=8, help="targets of a sample")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--micro-batch", type=int)
    parser.add_argument("--objects", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4, help="timed, after as many that are not")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    return parser


if __name__ == "__main__":
    main()
