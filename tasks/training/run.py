"""What all trainings share around their loop: signals, progress, tracking, and the records they leave."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from models.config import TrainingConfig
from models.training.checkpoints import Checkpoints
from models.training.distributed import SINGLE
from models.training.history import as_csv, column_name
from models.training.interruption import stop_on_signal
from models.training.loop import TrainingResult, train
from models.training.trainable import Trainable
from tasks.artifacts.atomic import write_bytes, write_json
from tasks.artifacts.manifest import HISTORY, METRICS
from tasks.ports import Tools
from tasks.training.job import Build, TrainingJob, continued, run_together
from tasks.training.memory import check_memory

TrainableT = TypeVar("TrainableT", bound="Trainable[Any]")
DRAWN = "drawn.png"
"""What the last validation drew, until it is passed on."""


def run_training(
    stage: str, build: Build[TrainableT], config: TrainingConfig, *, key: str, reads: Sequence[Path], tools: Tools
) -> tuple[TrainableT, TrainingResult]:
    """Train to the end, from where an earlier run with the same `key` stopped, or the training that this one continues.

    SIGTERM saves and ends the process.

    Several ranks, where the profile asks for them, are processes of their own; what they leave is then taken up here
    like any finished training.

    Args:
        stage: Name of the stage, for progress.
        build: Assembles what is trained, alike in every rank.
        config: Loop and optimizer.
        key: Work key of the stage.
        reads: Files and folders that `build` reads.
        tools: Of the stage.

    Returns the trainable with its newest weights, and the records and averaged weights.
    """
    num_steps = -(-config.loop.samples // config.loop.batch_size)
    with stop_on_signal() as stop, tools.progress.steps(stage, num_steps) as show:

        def report(samples_seen: int, metrics: Mapping[str, float]) -> None:
            show(samples_seen // config.loop.batch_size, metrics)
            tools.tracker.metrics(metrics, step=samples_seen)
            if "val/psnr" in metrics and (tools.work / key / DRAWN).exists():
                sheet = tools.work / key / "drawn" / f"samples-{samples_seen:012d}.png"
                sheet.parent.mkdir(exist_ok=True)
                (tools.work / key / DRAWN).replace(sheet)
                tools.tracker.image(sheet, f"drawn/{sheet.stem}")

        count = min(tools.launcher.count if tools.launcher is not None else 1, config.loop.batch_size)
        if tools.launcher is not None and count > 1:
            trainable = build(torch.device("cpu"), SINGLE)
            need = check_memory(stage, trainable, config, tools, count)
            exchange_dir = tools.work / key / f"together-{secrets.token_hex(4)}"
            job = TrainingJob(
                build,
                config,
                key,
                tools.work / key,
                tools.device,
                tools.threads,
                count,
                need,
                reads,
                exchange_dir,
            )
            run_together(job, tools.launcher, report, stop)
        else:
            trainable = build(torch.device(tools.device), SINGLE)
            check_memory(stage, trainable, config, tools, 1)
        checkpoints = Checkpoints(tools.work / key, key)
        return trainable, train(
            trainable,
            config.loop,
            config.optimizer,
            checkpoints=checkpoints,
            report=report,
            stop=stop,
            origin=continued(config, checkpoints.folder),
        )


def write_records(out: Path, trained: TrainingResult) -> dict[str, Any]:
    """Write history.csv and metrics.json (the last value of every metric).

    Returns the latter, with the trainings that this one continues, if any, as `continued_from`.
    """
    final: dict[str, float] = {}
    for row in trained.history:
        final |= {column_name(name): value for name, value in row.items()}
    write_bytes(out / HISTORY, as_csv(trained.history).encode())
    write_json(out / METRICS, final)
    return {**final, **({"continued_from": trained.origins} if trained.origins else {})}
