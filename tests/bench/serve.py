"""Throughput and latency of `python -m flows serve-model` against offered load: `python -m tests.bench.serve` (make
bench-serve).

Requests come at fixed times, whether earlier ones are done or not, as from many users who know nothing of each other;
one that is refused (503) is counted and not repeated. The service runs as a user starts it, once without batches and
once with them. By default it serves a model of 16 px with random weights, so that the figures are those of the service
around it; `--model` serves another one.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import requests
from rich.console import Console
from rich.table import Table

from infra.execution.processes import ProcessGroup
from models.network.noise import build_scheduler
from tests.infra.loopback import free_port
from tests.models.toy_models import NOISE, toy_pipeline
from tests.tasks.commands.bad_photos import ball

START_SECONDS = 900.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Row:
    """What one load did to one service."""

    batch: int
    """Objects that are sampled together, at most."""
    offered: float
    """Requests a second."""
    sent: int
    done: int
    refused: int
    failed: int
    throughput: float
    """Requests done a second, from the first request to the last answer."""
    median: float
    """Seconds from a request to its result; nan: none was done."""
    p95: float
    mean_batch: float


def main(words: Sequence[str] | None = None) -> None:
    """Print a row per service and load."""
    arguments = _parser().parse_args(words)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or _toy(Path(folder) / "model")
        photo = ball(Path(folder) / "photo.png")
        for batch in arguments.batches:
            with running(model, batch, arguments.unfinished, Path(folder) / f"batch-{batch}.log") as address:
                offer(address, photo, 1 / arguments.seconds, arguments.seconds, arguments.steps, batch)  # warms up
                for load in arguments.loads:
                    rows.append(offer(address, photo, load, arguments.seconds, arguments.steps, batch))
                    Console(width=120).print(table(rows[-1:]))
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    Console(width=120).print(table(rows))


@contextmanager
def running(model: Path, batch: int, unfinished: int, log: Path) -> Iterator[str]:
    """Run the service as a command while this is open; yields its address."""
    port = free_port()
    command = [sys.executable, "-m", "flows", "serve-model", "--model", str(model), "--port", str(port)]
    options = ["--batch", str(batch), "--unfinished", str(unfinished), "--stop-seconds", "5", "--device", "cpu"]
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
    with log.open("w") as output, ProcessGroup([*command, *options], root=Path.cwd(), output=output) as group:
        while not _answers(address):
            if group.exit_code() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the service did not start; it said:\n{log.read_text()}")
            time.sleep(1)
        yield address


def offer(address: str, photo: Path, load: float, seconds: float, steps: int, batch: int) -> Row:
    """Send `load` requests a second for some seconds, wait for all that were taken, and return what came of them."""
    content, number = photo.read_bytes(), max(1, round(load * seconds))
    ends: list[dict[str, float | str]] = []
    begin = time.monotonic()
    threads = [threading.Thread(target=_one, args=(address, content, steps, ends)) for _ in range(number)]
    for index, thread in enumerate(threads):
        time.sleep(max(0.0, begin + index / load - time.monotonic()))
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    done = [end for end in ends if end["status"] == "done"]
    latencies = [float(end["seconds"]) for end in done] or [float("nan")]
    batches = [float(end["batch"]) for end in done] or [float("nan")]
    return Row(
        batch=batch,
        offered=load,
        sent=number,
        done=len(done),
        refused=sum(end["status"] == "refused" for end in ends),
        failed=sum(end["status"] == "failed" for end in ends),
        throughput=len(done) / took,
        median=float(np.median(latencies)),
        p95=float(np.percentile(latencies, 95)),
        mean_batch=float(np.mean(batches)),
    )


def _one(address: str, content: bytes, steps: int, ends: list[dict[str, float | str]]) -> None:
    begin = time.monotonic()
    with requests.Session() as session:
        fields = {"steps": steps, "mesh": 0}
        answer = session.post(f"{address}/jobs", files={"photos": ("a.png", content)}, data=fields, timeout=600)
        if answer.status_code == 503:
            ends.append({"status": "refused"})
            return
        name, told = answer.json()["id"], answer.json()
        while told["status"] not in ("done", "failed"):
            time.sleep(POLL_SECONDS)
            told = session.get(f"{address}/jobs/{name}", timeout=600).json()
    ends.append({"status": told["status"], "seconds": time.monotonic() - begin, "batch": told["batch"]})


def table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table."""
    shown = Table(title="the service against offered load")
    columns = ("batch", "offered/s", "sent", "done", "refused", "failed", "done/s", "median s", "p95 s", "mean batch")
    for column in columns:
        shown.add_column(column, justify="right")
    for row in rows:
        shown.add_row(
            str(row.batch),
            f"{row.offered:g}",
            *(str(count) for count in (row.sent, row.done, row.refused, row.failed)),
            *(f"{value:.2f}" for value in (row.throughput, row.median, row.p95, row.mean_batch)),
        )
    return shown


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).ok
    except requests.RequestException:
        return False


def _toy(folder: Path) -> Path:
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(folder)
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a saved pipeline")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 1, 2, 4, 8], help="requests a second")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="objects sampled together, at most")
    parser.add_argument("--seconds", type=float, default=30.0, help="for which a load is offered")
    parser.add_argument("--steps", type=int, default=20, help="denoising steps")
    parser.add_argument("--unfinished", type=int, default=32, help="bound on the requests that are taken and not done")
    parser.add_argument("--out", type=Path, help="takes the rows as JSON")
    return parser


if __name__ == "__main__":
    main()
