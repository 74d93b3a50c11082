"""Seconds for what a card does at the paper's size: `python -m tests.bench.paper_times`.

32 views, a training sample, attention by each kernel, encoding, and a checkpoint; each compared with what a matrix
product reaches, where operations are counted.

Every row is a process of its own. A row that has no time left, no memory or no compiler says so, and the rest goes on
(make bench-times; 10 minutes on a GPU).
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.execution.processes import environment
from models.training.throughput import peak_of
from tests.bench.model_worker import DIVISOR

ROWS: dict[str, dict[str, Any]] = {
    "32 views, 75 DDPM steps": {"work": "sampling", "scheduler": "ddpm", "steps": 75},
    "training sample of 1 + 8 views": {"work": "training"},
    **{
        f"attention of 1 + 8 views by {kernel}": {"work": "attention", "kernel": kernel}
        for kernel in ("auto", "cudnn", "flash", "efficient", "fa3", "fa4")
    },
    "encode 32 + 1 views": {"work": "encoding"},
    "checkpoint: what a training waits": {"work": "checkpoint"},
    "32 views, 20 UniPC steps, compiled": {"work": "sampling", "scheduler": "unipc", "steps": 20, "compile": True},
    "32 views, 75 DDPM steps, compiled": {"work": "sampling", "scheduler": "ddpm", "steps": 75, "compile": True},
    "training sample, compiled": {"work": "training", "compile": True},
    "training sample, compiled with layouts": {"work": "training", "compile": True, "layouts": True},
    "training sample, activations recomputed": {"work": "training", "recompute": True},
    "training sample, norms rounded": {"work": "training", "rounded_norms": True},
    "training sample, norms rounded, feed-forward recomputed": {
        "work": "training", "rounded_norms": True, "recompute_feed_forward": True,
    },
    "32 views, 20 UniPC steps": {"work": "sampling", "scheduler": "unipc", "steps": 20},
    "32 views, 20 UniPC steps, compiled, CUDA graphs": {
        "work": "sampling", "scheduler": "unipc", "steps": 20, "compile": True, "graphs": True,
    },
}  # fmt: skip
"""The most telling first."""
COLUMNS = {
    "seconds": "seconds",
    "peak, GiB": "peak_gib",
    "TFLOP/s": "tflop_s",
    "of matmul": "share",
    "gradient off by": "gradient_error",
    "restart, s": "restart",
}


def main(words: Sequence[str] | None = None) -> None:
    """Print the table, row by row as JSON lines meanwhile, so that a kill loses none."""
    arguments = _parser().parse_args(words)
    deadline = time.monotonic() + arguments.limit_s
    results = []
    for name, row in ROWS.items():
        if not any(word in name for word in arguments.rows):
            continue
        results.append({"name": name} | _run(row, arguments, deadline - time.monotonic()))
        print(json.dumps(results[-1]), flush=True)  # noqa: T201 the answer
        if arguments.out:
            arguments.out.write_text(json.dumps(results, indent=1))
    _show(results, arguments)


def _run(row: dict[str, Any], arguments: argparse.Namespace, seconds: float) -> dict[str, Any]:
    if seconds < 1:
        return {"problem": f"the {arguments.limit_s} s are over; --limit-s gives more"}
    job = {key: getattr(arguments, key) for key in ("device", "width", "side", "targets", "objects")} | row
    job["steps"] = min(row.get("steps", 1), arguments.max_steps)
    words = [sys.executable, "-m", "tests.bench.paper_times_worker", json.dumps(job)]
    try:
        done = subprocess.run(words, env=environment({}), capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"problem": f"not done when the {arguments.limit_s} s were over"}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"problem": lines[-1] if lines else f"exit code {done.returncode}"}
    numbers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def _show(results: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    size = f"{8 * arguments.side} px, {arguments.width} width, 1 + {arguments.targets} views sampled"
    card = next((row["card"] for row in results if "card" in row), arguments.device)
    table = Table("row", title=f"{card}: {size}", caption=_caption(card))
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for row in results:
        if "problem" in row:
            table.add_row(row["name"], row["problem"])
        else:
            numbers = (row.get(key) for key in COLUMNS.values())
            table.add_row(row["name"], *("" if number is None else f"{number:.3g}" for number in numbers))
    Console(width=140).print(table)


def _caption(card: str) -> str:
    peak = peak_of(card)
    limit = "" if peak is None else f"; {peak:.0f} TFLOP/s by its maker"
    return f"paper: 181 s for 32 images at 75 steps, device not named (sec. 6){limit}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.paper_times", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--width", choices=tuple(DIVISOR), default="full", help="of the paper's network")
    parser.add_argument("--side", type=int, default=64, help="of the latents")
    parser.add_argument("--targets", type=int, default=32, help="views to sample")
    parser.add_argument("--objects", type=int, default=4, help="of a training step")
    parser.add_argument("--max-steps", type=int, default=75, help="of sampling; fewer for a trial")
    parser.add_argument(
        "--rows", nargs="+", default=[""], help="words of the rows to run, such as attention (default: all)"
    )
    parser.add_argument("--limit-s", type=int, default=560, help="for all rows")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    return parser


if __name__ == "__main__":
    main()
