"""What the stages cost beside the work itself at the paper's size: `python -m tests.bench.scale` (make bench-scale).

Real: the stages download, normalize and render with pool, resume, ledgers and seal; reading the views as train-vae
does; the rows of the latents' index as encode makes them, and that index as a training reads it. Simulated: the list
of selected objects, the hub (20 bytes an object, at once), measuring, rendering (items have the members of real ones,
with views of 8 px) and the latents, of which there are none. Each step runs in a process of its own; its time is that
of the processor without the start of Python.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.execution.processes import environment
from tests.bench.scale_worker import Row, run_step

COUNTS = (10_000, 40_000, 180_000)
STAGES = ("download", "normalize", "render")
READERS = ("read", "encode", "train")
WORDS = {"read": "train-vae opens the views", "encode": "encode's index", "train": "a training's index"}
ADDED = 1000
MAX_EXPONENT = 1.15
"""Of CPU seconds over objects; 1 is linear."""
JUDGED_SECONDS = 2.0
"""CPU seconds from which on an exponent is judged: less is noise and what is done once."""
MAX_MIB = 2000.0
"""Peak memory of a stage's own process."""
MAX_READER_MIB = 200.0
"""What the opened index of the views may take."""
MAX_AGAIN_SECONDS = 60.0
"""CPU of a stage that finds every item finished, for the largest of `COUNTS`; for fewer objects in proportion."""
Ask = Callable[[str, int, Path], Row]


def main(words: Sequence[str] | None = None) -> None:
    """Print the tables, and what is wrong; raises SystemExit(1) when something is."""
    arguments = _parser().parse_args(words)
    ask, rows = run_step if arguments.together else run_apart, []
    for count in arguments.objects:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            rows += list(measure(count, arguments.added, arguments.ray, Path(folder), ask))
        if arguments.out:
            arguments.out.write_text(json.dumps(rows, indent=1))
    console = Console(width=120)
    console.print(costs_table(rows))
    console.print(files_table(rows))
    found = faults(rows, is_memory_its_own=not arguments.together)
    for fault in found:
        console.print(f"FAULT: {fault}")
    if found:
        raise SystemExit(1)


def measure(count: int, added: int, ray: int, folder: Path, ask: Ask) -> Iterator[Row]:
    """Yield what each step costs for `count` objects; then, with nothing to do; then with `added` more objects.

    With `ray` above 0, as many of the objects are scheduled through Ray as well.
    """
    ask("select", count, folder)
    for step in (*STAGES, *READERS):
        yield ask(step, count, folder) | {"step": step, "run": "first", "count": count}
    for step in STAGES:
        yield ask(step, count, folder) | {"step": step, "run": "again", "count": count}
    ask("select", count + added, folder)
    for step in STAGES:
        yield ask(step, count + added, folder) | {"step": step, "run": "added", "count": count}
    if ray:
        with tempfile.TemporaryDirectory(dir=folder) as other:
            for step in ("select", "download", "normalize"):
                ask(step, ray, Path(other))
            yield ask("render_ray", ray, Path(other)) | {"step": "render_ray", "run": "first", "count": ray}


def run_apart(step: str, count: int, folder: Path) -> Row:
    """Do a step in a process of its own and return its costs."""
    words = [sys.executable, "-m", "tests.bench.scale_worker", step, str(count), str(folder)]
    done = subprocess.run(words, check=True, env=environment({}), stdout=subprocess.PIPE, text=True)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def exponent(small: Row, large: Row) -> float:
    """Return by which power of the number of objects the CPU seconds grow; 1 is linear."""
    return math.log(large["cpu"] / small["cpu"]) / math.log(large["count"] / small["count"])


def faults(rows: Sequence[Row], *, is_memory_its_own: bool = True) -> list[str]:
    """Say in sentences which limits are broken; those of memory where each step had a process of its own."""
    found = []
    for row in rows:
        name = f"{row['step']} ({row['run']}) of {row['count']} objects"
        if is_memory_its_own and row["step"] in STAGES and row["mib"] > MAX_MIB:
            found.append(f"{name} takes {row['mib']:.0f} MiB, more than {MAX_MIB:.0f}")
        if is_memory_its_own and row["step"] == "read" and row["own_mib"] > MAX_READER_MIB:
            found.append(f"{name} takes {row['own_mib']:.0f} MiB for its index, more than {MAX_READER_MIB:.0f}")
        limit = MAX_AGAIN_SECONDS * row["count"] / COUNTS[-1]
        if row["run"] == "again" and row["cpu"] > max(limit, JUDGED_SECONDS):
            found.append(
                f"{name} takes {row['cpu']:.0f} CPU seconds though nothing is to be done, more than {limit:.0f}"
            )
    for small, large in _growths(rows):
        if large["cpu"] >= JUDGED_SECONDS and exponent(small, large) > MAX_EXPONENT:
            found.append(
                f"{large['step']} ({large['run']}) grows with objects to the power of {exponent(small, large):.2f} "
                f"from {small['count']} to {large['count']}, more than {MAX_EXPONENT}"
            )
    return found


def _growths(rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Yield the rows of each step for the fewest and for the most objects."""
    for key in dict.fromkeys((row["step"], row["run"]) for row in rows if row["run"] != "added"):
        same = sorted((row for row in rows if (row["step"], row["run"]) == key), key=lambda row: int(row["count"]))
        if same[0]["count"] < same[-1]["count"]:
            yield same[0], same[-1]


def costs_table(rows: Sequence[Row]) -> Table:
    """CPU seconds, growth and memory of each step."""
    growth = {(large["step"], large["run"], large["count"]): exponent(small, large) for small, large in _growths(rows)}
    table = Table(title="what the steps cost")
    for column in (
        "step",
        "run",
        "objects",
        "CPU s",
        "power",
        "peak MiB",
        "index MiB",
        "worker MiB",
        "made",
        "shards written",
    ):
        table.add_column(column, justify="left" if column in ("step", "run") else "right")
    for row in rows:
        power = growth.get((row["step"], row["run"], row["count"]))
        written = f"{row['shards_written']} of {row['shards']}" if "shards" in row else ""
        table.add_row(
            WORDS.get(row["step"], row["step"]),
            row["run"],
            f"{row['count']:,}",
            f"{row['cpu']:.2f}",
            "" if power is None else f"{power:.2f}",
            f"{row['mib']:.0f}",
            *(f"{row[key]:.0f}" if key in row else "" for key in ("own_mib", "worker_mib")),
            str(row.get("made", "")),
            written,
        )
    return table


def files_table(rows: Sequence[Row]) -> Table:
    """Sizes of what the steps write beside the data."""
    table = Table(title="files, MB")
    sizes = ("ledger_mb", "journal_mb", "manifest_mb", "index_mb")
    for column in ("step", "objects", *sizes):
        table.add_column(column.removesuffix("_mb"), justify="left" if column == "step" else "right")
    for row in rows:
        if row["run"] == "first" and any(size in row for size in sizes):
            table.add_row(
                WORDS.get(row["step"], row["step"]),
                f"{row['count']:,}",
                *(f"{row[size]:.2f}" if size in row else "" for size in sizes),
            )
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=list(COUNTS), help="numbers of selected objects")
    parser.add_argument("--added", type=int, default=ADDED, help="objects that come on top (default %(default)s)")
    parser.add_argument("--ray", type=int, default=0, help="objects to schedule through Ray too (default: none)")
    parser.add_argument(
        "--folder", type=Path, help="where to work: 12 GB for 180,000 objects (default: that of temporary files)"
    )
    parser.add_argument("--together", action="store_true", help="all steps in one process, whose memory is then theirs")
    parser.add_argument("--out", type=Path, help="also write the numbers as JSON")
    return parser


if __name__ == "__main__":
    main()
