"""What a training costs: seconds that it spent, over all attempts, and operations that it computes."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from models.config import StageConfig
from models.network.multiview_unet import MultiViewUNet
from models.training.cost import unet_tflop
from tasks.artifacts.atomic import write_json
from tasks.ports import Tracker


@dataclass(frozen=True)
class Cost:
    """Of one training, or of several together."""

    cpu_seconds: float
    """Of the processor, all threads together, in every attempt; what a killed one repeats counts twice."""
    seconds: float
    """By the wall clock: on a GPU the seconds that it was held."""
    tflop: float
    """10^12 floating-point operations of forward and backward passes: of the samples, not of the attempts."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.cpu_seconds + other.cpu_seconds, self.seconds + other.seconds, self.tflop + other.tflop)

    def as_json(self) -> dict[str, float]:
        """All fields."""
        return asdict(self)


NOTHING = Cost(0.0, 0.0, 0.0)


class Metered:
    """Passes everything on to a tracker but models, which the study keeps itself, and notes the seconds spent so far.

    Each attempt at a training has a file of its own, rewritten with every report, so that a kill loses little.
    """

    def __init__(self, tracker: Tracker, folder: Path) -> None:
        self._tracker = tracker
        self._path = folder / f"{time.time_ns()}.json"
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def note(self) -> None:
        """Write down what this attempt has spent."""
        spent = {"cpu_seconds": time.process_time() - self._cpu, "seconds": time.monotonic() - self._wall}
        write_json(self._path, spent)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log numbers at a step."""
        self._tracker.metrics(values, step)
        self.note()

    def image(self, path: Path, name: str) -> None:
        """Log an image file."""
        self._tracker.image(path, name)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Log a file or folder."""
        self._tracker.artifact(path, folder)

    def dataset(self, path: Path, name: str, digest: str, context: str) -> None:
        """Log which sealed folder is read."""
        self._tracker.dataset(path, name, digest, context)

    def model(self, path: Path, name: str, leave_out: Sequence[str] = ()) -> None:
        """Leave the model where it is."""

    def table(self, rows: Sequence[Mapping[str, object]], name: str) -> None:
        """Log a table."""
        self._tracker.table(rows, name)

    def part(self, name: str, tags: Mapping[str, str]) -> AbstractContextManager[Tracker]:
        """Open a run below."""
        return self._tracker.part(name, tags)


def spent_in(folder: Path) -> tuple[float, float]:
    """Seconds of the processor and of the clock that all attempts together have noted."""
    notes = [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    return sum(note["cpu_seconds"] for note in notes), sum(note["seconds"] for note in notes)


def training_tflop(model: Path, config: StageConfig) -> float:
    """Operations of a finished training: those of each number of condition views, by how often it is drawn.

    Args:
        model: Its folder.
        config: The section of the stage.
    """
    unet = MultiViewUNet.from_pretrained(model / "unet")
    of_sample = sum(
        share * unet_tflop(unet, count, config.kept_targets) for count, share in config.condition_shares.items()
    )
    num_steps = -(-config.loop.samples // config.loop.batch_size)
    return of_sample * num_steps * config.loop.batch_size
