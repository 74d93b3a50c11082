"""A training in several processes: what each of them does, and what the stage sees of it meanwhile.

They speak to the stage through files, so that it makes no difference on which machine they run; where machines share no
disk, the launcher keeps the folder of the training alike on both (infra/execution/rank_files.py).
"""

import json
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from models.config import TrainingConfig
from models.training.checkpoints import Checkpoints
from models.training.distributed import Ranks, init_distributed
from models.training.interruption import Interrupted, stop_on_signal
from models.training.loop import train
from models.training.trainable import Report
from tasks.artifacts.atomic import write_json
from tasks.ports import Launcher
from tasks.training.memory import MemoryEstimate, gpu_gib

REPORTS, STOP, END = "reports.jsonl", "stop", "end.json"


TrainableT_co = TypeVar("TrainableT_co", covariant=True)


class Build(Protocol[TrainableT_co]):
    """Assembles what is trained; must pickle."""

    def __call__(self, device: torch.device, ranks: Ranks) -> TrainableT_co:
        """Return the trainable on `device`, for one of these ranks."""
        ...


def continued(config: TrainingConfig, folder: Path) -> Checkpoints | None:
    """Return the checkpoints of the training that one with its own in `folder` continues; None: it begins at zero."""
    key = config.continue_from
    return None if key is None else Checkpoints(folder.parent / key, key)


@dataclass(frozen=True)
class TrainingJob:
    """What every process of a training does; must pickle."""

    build: Build[Any]
    """Makes the same trainable in every process."""
    config: TrainingConfig
    key: str
    folder: Path
    """Of the checkpoints, seen by all processes."""
    device: str
    threads: int
    """Of all processes on this machine together."""
    count: int
    need: MemoryEstimate
    """Of each process."""
    reads: Sequence[Path]
    """What ranks read beside checkpoints."""
    exchange_dir: Path
    """For what the processes and the stage tell each other: new for each run, because those of a killed stage may still
    be saving."""

    @property
    def checkpoints(self) -> list[Path]:
        """The files that a training may go on from: its own, or else the newest of the one that it continues."""
        own = sorted(self.folder.glob("*.pt"))
        origin = continued(self.config, self.folder)
        newest = None if origin is None or own else origin.newest_path()
        return own if newest is None else [newest]

    def __call__(self) -> None:
        """Train; how it ended, if it is not the end of the training, stands in a file.

        An error that would come again ends all processes; any other one is left to whoever starts them.
        """
        if (self.exchange_dir / END).exists():
            return
        neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", self.count))
        torch.set_num_threads(max(1, self.threads // neighbours))
        device = torch.device(self.device)
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        with init_distributed(device) as ranks, stop_on_signal(ignore_repeats=True) as stop:
            try:
                is_beyond_batch = ranks.size > self.count == self.config.loop.batch_size
                if ranks.size != self.count and not is_beyond_batch:
                    raise ValueError(
                        f"the launcher has started {ranks.size} processes, but `trainers` in the profile says "
                        f"{self.count}; make them equal"
                    )
                if device.type == "cuda":
                    self.need.require(str(device), gpu_gib(device))
                train(
                    self.build(device, ranks),
                    self.config.loop,
                    self.config.optimizer,
                    checkpoints=Checkpoints(self.folder, self.key),
                    report=self.note,
                    stop=lambda: stop() or (self.exchange_dir / STOP).exists(),
                    ranks=ranks,
                    origin=continued(self.config, self.folder),
                )
            except Interrupted as end:
                if ranks.is_first:
                    self.note_end("Interrupted", str(end))
            except (ValueError, FloatingPointError, OSError, torch.OutOfMemoryError) as error:
                traceback.print_exc()
                self.note_end(type(error).__name__, str(error), getattr(error, "errno", None))

    def note(self, samples_seen: int, metrics: Mapping[str, float]) -> None:
        """Report the metrics after `samples_seen` samples to the stage."""
        with (self.exchange_dir / REPORTS).open("a") as handle:
            handle.write(json.dumps({"samples_seen": samples_seen, "metrics": dict(metrics)}) + "\n")

    def note_end(self, kind: str, message: str, number: int | None = None) -> None:
        """Tell the stage why it is over. A disk too full even for this raises OSError, and the log has to do."""
        write_json(self.exchange_dir / END, {"kind": kind, "message": message, "errno": number})


def run_together(job: TrainingJob, launcher: Launcher, report: Report, stop: Callable[[], bool]) -> None:
    """Train in several processes until the end; pass on to `report` what they report.

    Raises Interrupted when it was asked to stop, and what the processes ended with otherwise.
    """
    job.exchange_dir.mkdir(parents=True)
    (job.exchange_dir / REPORTS).touch()
    with (job.exchange_dir / REPORTS).open() as reports:

        def watch() -> None:
            is_over = (job.exchange_dir / END).exists()
            while (line := reports.readline()).endswith("\n"):
                row = json.loads(line)
                report(row["samples_seen"], row["metrics"])
            if line:
                reports.seek(reports.tell() - len(line))  # half a line: the rest comes
            if stop():
                (job.exchange_dir / STOP).touch()
            if is_over:  # and all reports are read that came before
                raise_end(job.exchange_dir / END)

        reads = (*job.reads, *job.checkpoints)
        launcher.run(job, job.exchange_dir, watch, job.count, reads=reads, writes=(job.folder,))
        watch()


def raise_end(path: Path) -> None:
    """Raise what the processes ended with."""
    end = json.loads(path.read_bytes())
    if end["kind"] == "Interrupted":
        raise Interrupted(end["message"])
    if end["errno"] is not None:
        raise OSError(end["errno"], end["message"])
    raise RuntimeError(end["message"])
