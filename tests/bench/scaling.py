"""Objects per minute of one worker on one core beside two workers on two: `python -m tests.bench.scaling`.

Real render jobs through the pool of the stages; the clock runs from the first outcome to the last.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flows.params import load_params
from infra.execution.processes import environment
from infra.execution.ray_pool import Limits, RayPool
from render.device import Machine
from render.placement import normalize_bounds
from tasks.outcome import Done, Failed, Outcome
from tasks.render import RenderJob, render_object
from tasks.sources.procedural.objects import write_object
from tests.bench.render_worker import PARAMS

LIMITS = Limits(time_limit=600, recycle_after=1000, memory_limit_gb=64)
WARM_UP = 2
"""Objects per worker before the clock starts: they carry the import of Blender."""


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    arguments = _parser().parse_args(words)
    if arguments.workers:
        print(json.dumps(_objects_per_minute(arguments)))  # noqa: T201 the answer to the process that asked
        return
    rates: dict[int, float] = {}
    for _ in range(arguments.rounds):
        for workers in (1, 2):
            rates[workers] = max(rates.get(workers, 0.0), _ask(workers, arguments))
    table = Table(title=f"{arguments.objects} objects, {arguments.side} px, best of {arguments.rounds}")
    for column in ("workers = cores", "objects/min", "ratio"):
        table.add_column(column, justify="right")
    for workers, rate in rates.items():
        table.add_row(str(workers), f"{rate:.1f}", f"{rate / rates[1]:.2f}")
    Console(width=80).print(table)
    if arguments.out:
        arguments.out.write_text(json.dumps(rates))


def _ask(workers: int, arguments: argparse.Namespace) -> float:
    """The rate in a process of its own, which sees no more cores than it has workers."""
    words = [sys.executable, "-m", "tests.bench.scaling", "--workers", str(workers)]
    words += ["--objects", str(arguments.objects), "--side", str(arguments.side)]
    done = subprocess.run(words, check=True, env=environment({}), stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _objects_per_minute(arguments: argparse.Namespace) -> float:
    from render.blender.objects import inspect

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.workers])
    config = load_params(PARAMS).render.model_copy(update={"resolution": arguments.side})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        jobs = []
        for index in range(arguments.objects + WARM_UP * arguments.workers):
            uid, path = f"mug-{index:04d}", folder / f"{index}.glb"
            write_object("mug", 0, index, path)
            report = inspect(path)
            placement = normalize_bounds(report.minimum, report.maximum, 1.0)
            item = folder / "items" / f"{uid}.tar"
            jobs.append(RenderJob(uid, uid, path, path, placement, "train", config, 0, Machine(1), item))
        times = []
        with RayPool[Outcome](failed=Failed, workers=arguments.workers, limits=LIMITS, log_dir=folder / "logs") as pool:
            for outcome in pool.run(render_object, jobs):
                assert isinstance(outcome, Done), outcome
                times.append(time.monotonic())
    measured = times[WARM_UP * arguments.workers - 1 :]
    return 60 * (len(measured) - 1) / (measured[-1] - measured[0])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scaling", description=__doc__)
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    return parser


if __name__ == "__main__":
    main()
