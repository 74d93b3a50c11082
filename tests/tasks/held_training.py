"""A launcher whose ranks wait after their first report until they are told to stop, so that no test has to be quick;
a module of its own for these processes."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.execution.processes import runs
from infra.execution.torchrun import TorchrunLauncher
from tasks.training.job import STOP, TrainingJob


@dataclass(frozen=True)
class HeldJob(TrainingJob):
    """Reports once and goes on when the stage says stop or has ended."""

    stage: int
    """Number of the stage's process."""

    def note(self, samples_seen: int, metrics: Mapping[str, float]) -> None:
        super().note(samples_seen, metrics)
        while runs(self.stage) and not (self.exchange_dir / STOP).exists():
            time.sleep(0.02)


class HeldLauncher(TorchrunLauncher):
    """Runs a training as a held one."""

    def run(self, work: Callable[[], None], folder: Path, watch: Callable[[], None], count: int) -> None:
        assert isinstance(work, TrainingJob)
        super().run(HeldJob(**vars(work), stage=os.getpid()), folder, watch, count)
