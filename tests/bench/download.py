"""Processor time of downloading small objects: `python -m tests.bench.download` (make bench-download).

The stage `download` beside objaverse's own downloader and plain pools of threads, against a server on this machine with
a process of its own. Processor seconds are those of the client alone; seconds on the clock depend on what else runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.execution.processes import environment
from tests.bench.download_methods import METHODS
from tests.tasks.hub import glb, lay_out_hub


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    arguments = _parser().parse_args(words)
    if arguments.method:
        print(json.dumps(_measure(arguments)))  # noqa: T201 the answer to the process that asked
        return
    numbers: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        hub = Path(temporary) / "hub"
        lay_out_hub(hub, {uid: glb(uid * (arguments.kb * 1000 // len(uid))) for uid in _uids(arguments.objects)})
        with _served(hub) as url:
            for _ in range(arguments.rounds):
                for name in arguments.methods:
                    found = _ask(name, url, arguments, Path(temporary))
                    best = numbers.get(name)
                    numbers[name] = found if best is None or found["cpu"] < best["cpu"] else best
    table = Table(title=f"{arguments.objects} objects of {arguments.kb} kB, best of {arguments.rounds}")
    for column in ("", "CPU s", "CPU ms an object", "s", "CPU beside ours"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in numbers.items():
        each = f"{1000 * row['cpu'] / arguments.objects:.2f}"
        ratio = f"{row['cpu'] / numbers['ours']['cpu']:.2f}" if "ours" in numbers else ""
        table.add_row(name, f"{row['cpu']:.2f}", each, f"{row['seconds']:.1f}", ratio)
    Console(width=80).print(table)
    if arguments.out:
        arguments.out.write_text(json.dumps(numbers))


def _uids(count: int) -> list[str]:
    return [f"object{index:06d}" for index in range(count)]


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    words = [sys.executable, "-m", "tests.bench.download_server", str(folder)]
    with subprocess.Popen(words, env=environment({}), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _ask(name: str, url: str, arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Measure a method in a process of its own and check that it brought every object."""
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        words = [sys.executable, "-m", "tests.bench.download", "--method", name, "--url", url, "--into", empty]
        words += ["--objects", str(arguments.objects)]
        done = subprocess.run(words, check=True, env=environment({}), stdout=subprocess.PIPE, text=True)
        found = {path.stem for path in Path(empty).rglob("*.glb")}
        assert found == set(_uids(arguments.objects)), f"{name} brought {len(found)} objects"
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def _measure(arguments: argparse.Namespace) -> dict[str, float]:
    before, start = os.times(), time.monotonic()
    METHODS[arguments.method](arguments.url, _uids(arguments.objects), arguments.into)
    after = os.times()
    return {"cpu": sum(after[:4]) - sum(before[:4]), "seconds": time.monotonic() - start}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.download", description=__doc__)
    parser.add_argument("--objects", type=int, default=3000)
    parser.add_argument("--kb", type=int, default=2, help="size of an object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--folder", type=Path, help="on the disk to write to; by default that of temporary files")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    for hidden, kind in (("--method", str), ("--url", str), ("--into", Path)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
