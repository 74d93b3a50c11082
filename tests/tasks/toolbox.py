"""Tools for tests: the real `tasks.ports.Tools`, with a pool of one, a silent progress and a tracker that remembers."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.outcome import Failed, Outcome
from tasks.ports import Job, Tools


class SerialPool:
    """Runs jobs one after another in this process."""

    num_workers = 1

    def run(self, work: Callable[[Any], Outcome], jobs: Sequence[Job]) -> Iterator[Outcome]:
        for job in jobs:
            try:
                yield work(job)
            except Exception as error:  # noqa: BLE001 - a pool turns an item's failure into a record
                yield Failed(job.uid, f"{type(error).__name__}: {error}")


class QuietProgress:
    """Shows nothing; keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def items(self, label: str, total: int) -> Iterator[Callable[[Outcome], None]]:  # noqa: ARG002
        yield lambda outcome: None  # noqa: ARG005

    @contextmanager
    def steps(self, label: str, total: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:  # noqa: ARG002
        yield lambda step, metrics: None  # noqa: ARG005

    def note(self, text: str) -> None:
        self.notes.append(text)


class MemoryTracker:
    """Keeps what a stage reports: `history` is (step, values), the rest are lists of arguments."""

    def __init__(self) -> None:
        self.history: list[tuple[int, dict[str, float]]] = []
        self.images: list[tuple[Path, str]] = []
        self.artifacts: list[tuple[Path, str]] = []
        self.datasets: list[tuple[Path, str, str, str]] = []
        self.models: list[tuple[Path, str]] = []

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        self.history.append((step, dict(values)))

    def image(self, path: Path, name: str) -> None:
        self.images.append((path, name))

    def artifact(self, path: Path, folder: str = "") -> None:
        self.artifacts.append((path, folder))

    def dataset(self, path: Path, name: str, digest: str, context: str) -> None:
        self.datasets.append((path, name, digest, context))

    def model(self, path: Path, name: str) -> None:
        self.models.append((path, name))


class FolderStore:
    """Reads plain paths only."""

    def fetch(self, url: str, target: Path, *, max_bytes: int | None = None) -> None:
        if max_bytes is not None and Path(url).stat().st_size > max_bytes:
            raise ValueError(f"{url} is larger than {max_bytes} bytes")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(url, target)


def make_tools(folder: Path, **overrides: Any) -> Tools:
    """Real Tools that work inside `folder`; `overrides` replace fields, e.g. `store=RemoteStore()`."""
    fields: dict[str, Any] = {
        "pool": SerialPool(),
        "progress": QuietProgress(),
        "tracker": MemoryTracker(),
        "store": FolderStore(),
        "work": folder / "work",
        "threads": int(os.environ.get("OMP_NUM_THREADS", "1")),
        "device": "cpu",
        "worker_device": "cpu",
        "render_device": "cpu",
        "hub_url": "http://127.0.0.1:9/objaverse",
    }
    return Tools(**(fields | overrides))
