"""One step of the network, ours beside others' attention and fewer views by level: `python -m tests.bench.model`.

A process per method, interleaved, the least of several rounds (make bench-model).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.execution.processes import environment
from tests.bench.model_methods import LEVELS, METHODS

COLUMNS = {
    "forward, s": "forward_s",
    "training, s": "training_s",
    "training, CPU s": "training_cpu_s",
    "peak, GiB": "peak_gib",
    "kept, GiB": "kept_gib",
    "tokens/s": "tokens_s",
    "TFLOP/s": "tflop_s",
    "of matmul": "share",
}


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    arguments = _parser().parse_args(words)
    chosen = [name for name in (*METHODS, *LEVELS) if not arguments.methods or name in arguments.methods]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for _ in range(arguments.rounds):
        for name in chosen:
            runs[name].append(_run(name, arguments))
    results: list[dict[str, Any]] = [{"name": name} | _least(runs[name]) for name in chosen]
    _show(results, arguments)
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1))


def _run(name: str, arguments: argparse.Namespace) -> dict[str, float]:
    job = {key: getattr(arguments, key) for key in ("width", "views", "side", "device", "compile", "steps")}
    words = [sys.executable, "-m", "tests.bench.model_worker", json.dumps(job | {"method": name})]
    done = subprocess.run(words, check=True, env=environment({}), stdout=subprocess.PIPE, text=True)
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def _least(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The least of every cost; the most of every rate."""
    return {key: (max if key in {"tokens_s", "tflop_s", "share"} else min)(row[key] for row in rows) for key in rows[0]}


def _show(results: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    size = f"latents {arguments.side} x {arguments.side}, {arguments.width} width"
    table = Table("method", title=f"1 + {arguments.views - 1} views, {size}, {arguments.device}")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for row in results:
        table.add_row(str(row["name"]), *(f"{row[key]:.3g}" for key in COLUMNS.values()))
    Console(width=140).print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.model", description=__doc__)
    parser.add_argument("--width", choices=("toy", "quarter", "full"), default="quarter", help="of the paper's network")
    parser.add_argument("--views", type=int, default=9)
    parser.add_argument("--side", type=int, default=16, help="of the latents; 64 in the paper")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=2, help="timed per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=[], help="names; default: all")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    return parser


if __name__ == "__main__":
    main()
