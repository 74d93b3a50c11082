"""Processor time of bringing the files of jobs to a node and back: `python -m tests.bench.transport --jobs 200 --mb 1`.

Each job reads and writes a file of its own. The store is a folder, so that no server's time is counted; the node is a
process. Memory and network of a real bucket are not in it.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.execution.node_work import do_parcel
from infra.execution.parcels import NodePlace, Parcel
from infra.execution.transport import Transport
from infra.storage.blob_store import BlobStore
from tasks.outcome import Done, Failed, Outcome


@dataclass(frozen=True)
class Copying:
    """A file to copy."""

    uid: str
    source: Path
    target: Path

    @property
    def reads(self) -> Sequence[Path]:
        return (self.source,)

    @property
    def writes(self) -> Sequence[Path]:
        return (self.target,)


def copy(job: Copying) -> Outcome:
    job.target.write_bytes(job.source.read_bytes())
    return Done(job.uid)


def main(words: Sequence[str] | None = None) -> None:
    """Print the times."""
    arguments = _parser().parse_args(words)
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as node:
        node.submit(os.getpid).result()  # starts it, before there are threads
        folder = Path(scratch)
        for number in range(arguments.jobs):
            (folder / f"{number}.in").write_bytes(os.urandom(int(arguments.mb * 1e6)))
        jobs = [
            Copying(str(number), folder / f"{number}.in", folder / f"{number}.out") for number in range(arguments.jobs)
        ]
        store = BlobStore(str(folder / "store"), None, attempts=1)
        transport = Transport[Outcome](NodePlace(store, str(folder / "node"), 10**12), failed=Failed)
        begin, before = time.monotonic(), _seconds(resource.RUSAGE_SELF)
        outcomes = list(transport.run(copy, jobs, lambda parcels: _answers(node, parcels)))
        driver, wall = _seconds(resource.RUSAGE_SELF) - before, time.monotonic() - begin
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert all(job.target.stat().st_size == job.source.stat().st_size for job in jobs)
    worker = _seconds(resource.RUSAGE_CHILDREN)
    on_driver, on_node = (1000 * seconds / arguments.jobs for seconds in (driver, worker))
    sys.stdout.write(
        f"{arguments.jobs} jobs of {arguments.mb:g} MB in and out: {on_driver:.1f} ms of processor time each on the "
        f"driver, {on_node:.1f} on the node, {wall:.1f} s in all\n"
    )


def _answers(node: ProcessPoolExecutor, parcels: Iterator[Parcel]) -> Iterator[Any]:
    """Do parcels, one on its way while another is done."""
    before: Future[Any] | None = None
    for parcel in parcels:
        now = node.submit(do_parcel, parcel)
        if before is not None:
            yield before.result()
        before = now
    if before is not None:
        yield before.result()


def _seconds(whose: int) -> float:
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.transport", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--mb", type=float, default=1.0, help="10^6 bytes of each file")
    return parser


if __name__ == "__main__":
    main()
