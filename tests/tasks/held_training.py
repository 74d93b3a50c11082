"""Stage 1 in a process of its own, to be ended in the middle: its ranks wait after their first report until they are
told to stop, so that no test has to be quick."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from infra.execution.processes import runs
from infra.execution.torchrun import TorchrunLauncher
from infra.execution.worker_log import capture_output
from models.config import StageConfig
from tasks.train_diffusion import train_stage
from tasks.training.job import STOP, TrainingJob
from tests.forked_ranks import ForkedRanks
from tests.tasks.toolbox import MemoryTracker, make_tools


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

    def run(
        self,
        work: Callable[[], None],
        folder: Path,
        watch: Callable[[], None],
        count: int,
        *,
        reads: Sequence[Path] = (),
        writes: Sequence[Path] = (),
    ) -> None:
        assert isinstance(work, TrainingJob)
        super().run(HeldJob(**vars(work), stage=os.getpid()), folder, watch, count, reads=reads, writes=writes)


class Marks(MemoryTracker):
    """Says in `folder` that the training has begun, and holds it, if it has no ranks, until the test has signalled."""

    def __init__(self, folder: Path, *, is_held: bool) -> None:
        super().__init__()
        self._folder = folder
        self._is_held = is_held

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        super().metrics(values, step)
        (self._folder / "started").touch()
        while self._is_held and not (self._folder / "signalled").exists():
            time.sleep(0.02)


def train(made: Path, folder: Path, config: StageConfig, count: int, *, is_held: bool) -> None:
    """Be the stage's process: train stage 1 from the latents of `made` with so many ranks; errors to `folder/log`."""
    torch.set_num_threads(1)
    capture_output(folder / "log")
    launcher: Any = HeldLauncher(count) if is_held else ForkedRanks(count)
    tracker = Marks(folder, is_held=is_held and count == 1)
    tools = replace(make_tools(folder, tracker=tracker), launcher=launcher)
    train_stage("stage1", made / "latents", None, made / "vae", config, 0, folder / "stage1", tools)
