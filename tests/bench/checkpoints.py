"""How long a training waits for its checkpoints: `python -m tests.bench.checkpoints` (make bench-checkpoints).

A state of random numbers, written beside steps that last a fixed time, as those of a GPU do, by the thread of
`models.training.checkpoint_writer`, and by the training itself as the thing to beat. Steps that take longer meanwhile
count as waiting.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from models.training.checkpoint_writer import CheckpointWriter
from models.training.checkpoints import Checkpoints

TENSOR = 2**22
"""Numbers per tensor, about as many as a large convolution of Stable Diffusion has."""
STEP = 0.02
"""Seconds of a step."""


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    arguments = _parser().parse_args(words)
    state = make_state(arguments.gb, torch.device(arguments.device))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        numbers = measure(state, Path(temporary), arguments.interval, arguments.device)
    table = Table(title=f"one checkpoint of {arguments.gb:g} GB each {arguments.interval:g} s, {arguments.device}")
    for column in ("", "written by the training", "written in a thread"):
        table.add_column(column, justify="left" if not column else "right")
    rows = {"the training waits, s": "waits", "written after, s": "written", "share of the time, %": "share"}
    for name, key in rows.items():
        table.add_row(name, *(f"{numbers[how][key]:.3g}" for how in ("alone", "thread")))
    console = Console(width=100)
    console.print(table)
    console.print(f"a restart reads it in {numbers['restart']['read']:.3g} s")
    if arguments.out:
        arguments.out.write_text(json.dumps(numbers, indent=1))


def make_state(gb: float, device: torch.device) -> dict[str, Any]:
    """Tensors of `gb` times 10^9 bytes together."""
    count = max(1, round(gb * 1e9 / (4 * TENSOR)))
    return {"weights": {str(number): torch.randn(TENSOR, device=device) for number in range(count)}}


def measure(state: dict[str, Any], folder: Path, interval: float, device: str) -> dict[str, dict[str, float]]:
    """Seconds that a training waits, by how the checkpoint is written, and their share of the interval.

    "restart" has the seconds of reading the last one, as a training on `device` does.
    """
    checkpoints = Checkpoints(folder, "bench")
    alone = _seconds(lambda: checkpoints.save(1, state))
    thread = waits_for_thread(state, folder)
    return {
        "alone": {"waits": alone, "written": alone, "share": 100 * alone / (interval + alone)},
        "thread": thread | {"share": 100 * thread["waits"] / (interval + thread["waits"])},
        "restart": {"read": restart_seconds(folder, device)},
    }


def waits_for_thread(state: dict[str, Any], folder: Path) -> dict[str, float]:
    """Seconds that a training waits while a thread writes its state, and those until it is written."""
    with CheckpointWriter(Checkpoints(folder, "bench")) as writer:
        writer.save(2, state, is_best=False)  # the first one also allocates
        writer.wait()
        start = time.perf_counter()
        copied = _seconds(lambda: writer.save(3, state, is_best=False))
        delayed = 0.0
        while writer.is_writing:
            delayed += _seconds(lambda: time.sleep(STEP)) - STEP
        return {"waits": copied + delayed, "written": time.perf_counter() - start}


def restart_seconds(folder: Path, device: str) -> float:
    """Seconds until the newest checkpoint of `folder` is read, its digest is checked and it lies on `device`."""

    def restart() -> None:
        found = Checkpoints(folder, "bench").load_newest(is_mapped=device != "cpu")
        assert found is not None
        for tensor in found["weights"].values():
            tensor.to(device)

    return _seconds(restart)


def _seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.checkpoints", description=__doc__)
    parser.add_argument(
        "--gb", type=float, default=2.0, help="10^9 bytes; the paper's network has 13.9 (default %(default)s)"
    )
    parser.add_argument(
        "--interval", type=float, default=750.0, help="seconds between checkpoints (default %(default)s)"
    )
    parser.add_argument("--device", default="cpu", help="where the state lies (default %(default)s)")
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: that of temporary files)")
    parser.add_argument("--out", type=Path, help="also write the numbers as JSON")
    return parser


if __name__ == "__main__":
    main()
