"""Tools for tests: the real `tasks.ports.Tools` with the real pool of one process.

Only what would draw on a terminal (QuietProgress) or speak with MLflow's server (MemoryTracker) is replaced; the real
ones are tested in tests/infra, and mypy checks that these satisfy the same Protocols.
"""

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from infra.execution.serial_pool import SerialPool
from infra.execution.worker_log import Job
from infra.storage.store import RemoteStore
from tasks.outcome import Failed, Outcome
from tasks.ports import Tools

T = TypeVar("T")


class PicklingPool(SerialPool[Outcome]):
    """One process, between which and itself work, jobs and outcomes travel as they do to other processes."""

    def __init__(self) -> None:
        super().__init__(failed=Failed)

    def run(self, work: Callable[[Any], Outcome], jobs: Sequence[Job]) -> Iterator[Outcome]:
        for outcome in super().run(sent(work), sent(list(jobs))):
            yield sent(outcome)


def sent(thing: T) -> T:
    """What arrives of it in another process."""
    copy: T = pickle.loads(pickle.dumps(thing))
    return copy


class QuietProgress:
    """Shows nothing; keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def items(self, label: str, total: int) -> Iterator[Callable[[Outcome], None]]:  # noqa: ARG002
        yield lambda outcome: None  # noqa: ARG005

    @contextmanager
    def transfers(self, label: str, total: int) -> Iterator[Callable[[str, int, int | None], None]]:  # noqa: ARG002
        yield lambda kind, num_bytes, to_come: None  # noqa: ARG005

    @contextmanager
    def steps(self, label: str, total: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:  # noqa: ARG002
        yield lambda step, metrics: None  # noqa: ARG005

    def note(self, text: str) -> None:
        self.notes.append(text)


def notes_of(tools: Tools) -> list[str]:
    """What the user was told."""
    assert isinstance(tools.progress, QuietProgress)
    return tools.progress.notes


class MemoryTracker:
    """Keeps what a stage reports: `history` is (step, values), the rest are lists of arguments."""

    def __init__(self) -> None:
        self.history: list[tuple[int, dict[str, float]]] = []
        self.images: list[tuple[Path, str]] = []
        self.artifacts: list[tuple[Path, str]] = []
        self.datasets: list[tuple[Path, str, str, str]] = []
        self.models: list[tuple[Path, str]] = []
        self.tables: dict[str, list[dict[str, object]]] = {}
        self.parts: dict[str, MemoryTracker] = {}

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        self.history.append((step, dict(values)))

    def image(self, path: Path, name: str) -> None:
        self.images.append((path, name))

    def artifact(self, path: Path, folder: str = "") -> None:
        self.artifacts.append((path, folder))

    def dataset(self, path: Path, name: str, digest: str, context: str) -> None:
        self.datasets.append((path, name, digest, context))

    def model(self, path: Path, name: str, leave_out: Sequence[str] = ()) -> None:  # noqa: ARG002
        self.models.append((path, name))

    def table(self, rows: Sequence[Mapping[str, object]], name: str) -> None:
        self.tables[name] = [dict(row) for row in rows]

    @contextmanager
    def part(self, name: str, tags: Mapping[str, str]) -> Iterator["MemoryTracker"]:  # noqa: ARG002
        self.parts[name] = MemoryTracker()
        yield self.parts[name]


def make_tools(folder: Path, **overrides: Any) -> Tools:
    """Real Tools that work inside `folder`; `overrides` replace fields, e.g. `store=RemoteStore(attempts=1)`."""
    fields: dict[str, Any] = {
        "pool": PicklingPool(),
        "progress": QuietProgress(),
        "tracker": MemoryTracker(),
        "store": RemoteStore(),
        "work": folder / "work",
        "threads": int(os.environ.get("OMP_NUM_THREADS", "1")),
        "device": "cpu",
        "worker_device": "cpu",
        "render_device": "cpu",
        "hub_url": "http://127.0.0.1:9/objaverse",
    }
    return Tools(**(fields | overrides))
