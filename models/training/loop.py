"""The one training loop, for the VAE and the three diffusion stages alike. Knows no model and no data.

Its only clock is `samples_seen`: learning rate, draws, average and checkpoints derive from it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from models.config import LoopConfig, OptimizerConfig
from models.training.checkpoints import Checkpoints
from models.training.distributed import SINGLE, Ranks
from models.training.ema import MovingAverage
from models.training.history import History, Row
from models.training.interruption import Interrupted
from models.training.learning_rate import learning_rate_at
from models.training.optimizers import make_optimizer, set_learning_rate
from models.training.sharding import full_tensor
from models.training.state import NOTHING, TrainingState
from models.training.throughput import ThroughputMeter, count_tflop
from models.training.trainable import MicroBatchLoss, Report, Trainable

BatchT = TypeVar("BatchT")
EXPLODED = 100
"""Times the loss that the training began with."""


@dataclass(frozen=True)
class Trained:
    """The end of a training: the model has its newest weights; `average` can put the averaged ones in."""

    samples_seen: int
    history: list[Row]
    average: MovingAverage


def train(
    trainable: Trainable[Any],
    loop: LoopConfig,
    optimizer: OptimizerConfig,
    *,
    checkpoints: Checkpoints,
    report: Report,
    stop: Callable[[], bool],
    ranks: Ranks = SINGLE,
) -> Trained:
    """Train for `loop.samples` samples, rounded up to whole batches; go on from the newest checkpoint if there is one.

    Each of several `ranks` calls this with an equal trainable; the first one alone reports, validates and saves.
    Raises Interrupted once `stop()` of any says so, after the step in progress is saved; FloatingPointError when the
    loss has exploded, or it or its gradient is not finite; ValueError for a batch that leaves a worker without a
    sample or an optimizer that several cannot share; BlockingIOError when another training uses the same folder.
    """
    if ranks.size > loop.batch_size:
        raise ValueError(
            f"{ranks.size} ranks for a batch of {loop.batch_size}: each needs a sample; "
            "lower `trainers` in the profile and what its `launcher` starts, or raise loop.batch_size"
        )
    if ranks.size > 1 and optimizer.state_bits == 8:
        raise ValueError(
            "optimizer.state_bits is 8, which works with one process alone; set `trainers` to 1 in the profile, or "
            "state_bits to 32 and `shard_weights` in the profile"
        )
    run = _Run(trainable, loop, optimizer, checkpoints, ranks)
    with checkpoints.exclusive() if ranks.is_first else nullcontext():
        run.restore()
        trainable.model.train()
        run.train(report, stop)
    return Trained(run.samples_seen, run.history.rows, run.average)


class _Run(Generic[BatchT]):
    """The state of one training."""

    def __init__(
        self,
        trainable: Trainable[BatchT],
        loop: LoopConfig,
        optimizer: OptimizerConfig,
        checkpoints: Checkpoints,
        ranks: Ranks,
    ) -> None:
        self.trainable, self.loop, self.settings = trainable, loop, optimizer
        self.checkpoints, self.ranks = checkpoints, ranks
        self.modules = [module for module in (trainable.model, trainable.discriminator) if module is not None]
        self.groups = [[weight for weight in module.parameters() if weight.requires_grad] for module in self.modules]
        self.device = self.groups[0][0].device
        self.optimizer = make_optimizer(self.groups, optimizer)
        self.average = MovingAverage(trainable.model, loop.ema_decay)
        self.state = TrainingState(self.modules, self.average, self.optimizer, ranks)
        self.samples_seen = 0
        self.history = History()
        self.num_steps = -(-loop.samples // loop.batch_size)

    @property
    def saves_state(self) -> bool:
        """Whether this worker is needed to validate and to save: the first one, or each that keeps a part."""
        return self.ranks.is_first or self.state.is_sharded

    def train(self, report: Report, stop: Callable[[], bool]) -> None:
        """Steps until the end."""
        meter = ThroughputMeter(self.samples_seen, self.device)
        first = self.samples_seen // self.loop.batch_size + 1
        for step, batch in enumerate(meter.timed(self.batches()), start=first):
            if step == first and self.device.type == "cuda":
                meter.tflop_per_sample = self.count_tflop(batch) / self.loop.batch_size
            self.step(step - 1, batch)
            self.report(step, report, meter)
            is_last = step == self.num_steps
            is_stopped = self.ranks.any(stop(), self.device) and not is_last
            if is_last or is_stopped or step % self.loop.checkpoint_every == 0:
                self.save()
            if is_stopped:
                self.ranks.barrier(self.device)  # nobody leaves before the state is saved
                raise Interrupted(
                    f"stopped at {self.samples_seen:,} of {self.num_steps * self.loop.batch_size:,} samples; "
                    "the state is saved: run the same command again to go on from there"
                )

    def batches(self) -> Iterator[BatchT]:
        """The batches that remain. Beside a GPU the next one is read while the present one computes.

        On a CPU it is not: a second thread that uses torch has OpenMP threads of its own, and the two teams take
        turns (0.26 s a step instead of 0.14 s, infra/LOG.md).
        """
        steps = range(self.samples_seen // self.loop.batch_size, self.num_steps)
        if self.device.type == "cpu":
            yield from (self.trainable.load(self.own(step)) for step in steps)
            return
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="load-batch") as pool:
            upcoming: Future[BatchT] | None = None
            for step in steps:
                ready = upcoming or pool.submit(self.trainable.load, self.own(step))
                upcoming = pool.submit(self.trainable.load, self.own(step + 1)) if step + 1 in steps else None
                yield ready.result()

    def numbers(self, step: int) -> range:
        """Sample numbers of step `step`, from 0."""
        return range(step * self.loop.batch_size, (step + 1) * self.loop.batch_size)

    def own(self, step: int) -> range:
        """Those of them that this worker computes."""
        return self.ranks.share(self.numbers(step))

    def step(self, step: int, batch: BatchT) -> None:
        """One optimizer step."""
        learning_rate = learning_rate_at(self.samples_seen, self.loop, self.settings)
        set_learning_rate(self.optimizer, learning_rate)
        metrics = self.backward(batch, len(self.own(step)) / self.loop.batch_size)
        norms = [
            full_tensor(nn.utils.clip_grad_norm_(group, self.settings.max_grad_norm, foreach=True))
            for group in self.groups
        ]
        values = _floats(metrics | {"grad_norm": norms[0]})
        if not all(math.isfinite(value) for value in (*values.values(), *map(float, norms))):
            self.raise_bad_loss(step, values, "is not finite")
        usual = self.history.first("train/loss")
        if usual is not None and values["loss"] > EXPLODED * abs(usual):
            self.raise_bad_loss(
                step, values, f"has exploded to more than {EXPLODED} times the {usual:.3g} of the beginning"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)  # not at the next step: a validation may need the room
        self.average.update(step + 1)
        self.samples_seen = (step + 1) * self.loop.batch_size
        self.history.window.add(
            {f"train/{name}": value for name, value in values.items()} | {"train/lr": learning_rate}
        )

    def backward(self, batch: BatchT, share: float) -> dict[str, Tensor]:
        """Gradients of a step, part by part; its metrics. `share`: how much of the step `batch` is."""
        totals: dict[str, Tensor] = {}
        parts = self.trainable.micro_batches(batch)
        while (part := self.next_part(parts)) is not None:
            (part.loss * share).backward()  # type: ignore[no-untyped-call]
            for name, value in part.metrics.items():
                value = value.detach() * share
                totals[name] = totals[name] + value if name in totals else value
        for weight in self.groups[0]:
            if weight.grad is None:  # nothing in this batch asked for it (models.network.attention.attend_to_one)
                weight.grad = torch.zeros_like(weight)
        if not self.state.is_sharded:  # else they have come summed
            self.ranks.add([weight.grad for group in self.groups for weight in group if weight.grad is not None])
        self.ranks.add(list(totals.values()))
        return totals

    def count_tflop(self, batch: BatchT) -> float:
        """Operations of a step, counted in a trial of it that leaves the weights alone."""
        share = len(self.own(0)) / self.loop.batch_size
        tflop = count_tflop(lambda: self.backward(batch, share), self.device)
        for module in self.modules:
            module.zero_grad(set_to_none=True)
        return tflop * self.ranks.size

    def next_part(self, parts: Iterator[MicroBatchLoss]) -> MicroBatchLoss | None:
        """The forward pass of one part, in the precision asked for."""
        with self.precision():
            return next(parts, None)

    def precision(self) -> torch.autocast:
        """What forward passes compute in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.loop.precision == "bf16")

    def raise_bad_loss(self, step: int, values: Mapping[str, float], fault: str) -> None:
        """Such a loss ends the training before it reaches the weights."""
        numbers = self.numbers(step)
        raise FloatingPointError(
            f"the loss {fault} at step {step + 1} (samples {numbers.start}..{numbers.stop - 1}): {dict(values)}. "
            f"Its items: {', '.join(self.trainable.names(numbers))}. "
            f"Last good checkpoint: {self.checkpoints.newest_path()}. "
            "Look at these items, or lower optimizer.learning_rate"
        )

    def report(self, step: int, report: Report, meter: ThroughputMeter) -> None:
        """Pass on and remember the numbers of a step that logs, validates or is the last."""
        is_last = step == self.num_steps
        row: Row = {}
        if is_last or step % self.loop.log_every == 0:
            row |= self.history.window.close()
        if self.saves_state and (is_last or step % self.loop.validate_every == 0):
            row |= self.validate()
        if row:
            self.history.append(self.samples_seen, row)
            if self.ranks.is_first:
                report(self.samples_seen, row | meter.since_last(self.samples_seen))

    def validate(self) -> dict[str, float]:
        """Metrics of the averaged weights."""
        self.trainable.model.eval()
        with self.average.applied(), torch.no_grad(), self.precision():
            metrics = self.trainable.validate()
        self.trainable.model.train()
        return metrics

    def save(self) -> None:
        """Everything that the rest of the training depends on; draws follow from the clock."""
        if not self.saves_state:
            return
        state = self.state.gather()
        if self.ranks.is_first:
            is_best = self.history.is_best_at(self.samples_seen)
            self.checkpoints.save(self.samples_seen, state | {"history": self.history.state()}, is_best=is_best)

    def restore(self) -> None:
        """Take up the newest checkpoint that the first worker sees."""
        # a memory map of a file that is removed later would keep its room on the disk
        is_mapped = self.device.type != "cpu"
        found = self.checkpoints.load_newest(is_mapped=is_mapped) if self.ranks.is_first else None
        progress = self.ranks.broadcast(None if found is None else (found["samples_seen"], found["history"]))
        if progress is None:
            return
        self.samples_seen = progress[0]
        self.history.load_state(progress[1])
        self.state.load_from_rank0(found or NOTHING)


def _floats(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """All metrics in one transfer from the device."""
    values = torch.stack([value.float().reshape(()) for value in metrics.values()]).tolist()
    return dict(zip(metrics, values, strict=True))
