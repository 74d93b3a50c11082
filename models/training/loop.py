"""The training loop of the VAE and of the three diffusion stages alike. It knows no model and no data.

It is written in the order in which it runs: train, one step and its backward pass, the check of the loss, log,
validate, save, restore. Its only clock is `samples_seen`: learning rate, random draws, moving average and checkpoints
derive from it, so a training that resumes repeats the bits of one that was never interrupted.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from models.config import LoopConfig, OptimizerConfig
from models.data.draws import as_ranges, replace_left_out
from models.training.checkpoint_writer import CheckpointWriter
from models.training.checkpoints import Checkpoints
from models.training.continuation import Origins, load_start
from models.training.dealing import deal
from models.training.distributed import SINGLE, Ranks
from models.training.ema import MovingAverage
from models.training.gradient_sums import GradientSums
from models.training.history import History, Row
from models.training.interruption import Interrupted
from models.training.learning_rate import learning_rate_at
from models.training.optimizers import make_optimizer, set_learning_rate
from models.training.prefetch import prefetched
from models.training.sharding import full_tensor, sum_gradients
from models.training.state import EMPTY_STATE, TrainingState
from models.training.throughput import ThroughputMeter
from models.training.trainable import Report, Trainable

BatchT = TypeVar("BatchT")
DIVERGED = 100
"""A loss of so many times the first reported one ends the training."""
STOP = "stop"
"""Number of ranks that were asked to stop, which travels with the metrics of a step to all of them."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training ends with; the model itself holds its newest weights."""

    samples_seen: int
    history: list[Row]
    average: MovingAverage
    """The averaged weights; `average.applied()` puts them into the model for a while."""
    origins: Origins
    """The trainings that it continues; empty if it began at zero."""


def train(
    trainable: Trainable[Any],
    loop: LoopConfig,
    optimizer: OptimizerConfig,
    *,
    checkpoints: Checkpoints,
    report: Report,
    stop: Callable[[], bool],
    ranks: Ranks = SINGLE,
    origin: Checkpoints | None = None,
) -> TrainingResult:
    """Train until `loop.samples` samples, rounded up to whole batches, are seen; resume from the newest checkpoint.

    Every rank calls this with an equal `trainable`; rank 0 alone reports, and validates and writes for all.

    Args:
        trainable: The model, and how a range of sample ids becomes a loss.
        loop: Batch size, length in samples, and the intervals of logging, validation and checkpoints in steps.
        optimizer: AdamW's settings and the schedule of the learning rate.
        checkpoints: Where the state of the training is kept.
        report: Receives the metrics of every logged or validated step.
        stop: Asked in every step; once any rank answers yes, the state is saved and the training ends. Of several ranks
            each is asked before the step's metrics are summed, so an answer that comes later ends the next step.
        ranks: The processes that share each batch.
        origin: Checkpoints of another training, whose newest one is where a training without its own begins.

    Returns:
        The clock, the history of all metrics since the first sample, the averaged weights, and what was continued.

    Raises:
        Interrupted: `stop` has ended the training; the same call resumes it.
        FloatingPointError: The loss or a gradient is not finite in more than `loop.max_skipped_steps` steps, or the
            loss has diverged; no weight has taken it in.
        ValueError: 8-bit optimizer states are asked for on several ranks, or a checkpoint does not fit.
        BlockingIOError: Another training uses the same folder.
    """
    if ranks.size > 1 and optimizer.state_bits == 8:
        raise ValueError(
            "optimizer.state_bits is 8, which works with one process alone; set `trainers` to 1 in the profile, or "
            "state_bits to 32 and `shard_weights` in the profile"
        )
    with checkpoints.exclusive() if ranks.is_first else nullcontext(), CheckpointWriter(checkpoints) as writer:
        run = _Run(trainable, loop, optimizer, checkpoints, writer, ranks, origin)
        run.restore()
        trainable.model.train()
        run.train(report, stop)
    return TrainingResult(run.samples_seen, run.history.rows, run.average, run.origins)


@dataclass(frozen=True)
class _RankBatch(Generic[BatchT]):
    """What one rank computes of a batch."""

    samples: BatchT
    share: float
    """Number of its samples over that of the whole batch; 0 for a sample that another rank has too (`Ranks.share`)."""


class _Run(Generic[BatchT]):
    """One training: its modules, optimizer, moving average, history and clock."""

    def __init__(
        self,
        trainable: Trainable[BatchT],
        loop: LoopConfig,
        optimizer: OptimizerConfig,
        checkpoints: Checkpoints,
        writer: CheckpointWriter,
        ranks: Ranks,
        origin: Checkpoints | None,
    ) -> None:
        self.trainable, self.loop, self.settings = trainable, loop, optimizer
        self.checkpoints, self.writer, self.ranks, self.origin = checkpoints, writer, ranks, origin
        self.modules = [module for module in (trainable.model, trainable.discriminator) if module is not None]
        self.groups = [[weight for weight in module.parameters() if weight.requires_grad] for module in self.modules]
        self.device = self.groups[0][0].device
        self.optimizer = make_optimizer(self.modules, optimizer)
        self.average = MovingAverage(trainable.model, loop.ema_decay)
        self.state = TrainingState(self.modules, self.average, self.optimizer, ranks)
        others = [weight for group in self.groups[1:] for weight in group]
        self.sums = GradientSums(self.groups[0], others, SINGLE if self.state.is_sharded else ranks)  # FSDP sums itself
        self.samples_seen = 0
        self.skipped_steps = 0
        self.origins: Origins = []
        self.history = History()
        self.num_steps = -(-loop.samples // loop.batch_size)
        self.stop: Callable[[], bool] = lambda: False
        self.is_stopped = False

    def train(self, report: Report, stop: Callable[[], bool]) -> None:
        """Take the steps that remain; log, validate and save at their intervals and at the end."""
        self.stop = stop
        meter = ThroughputMeter(self.samples_seen, self.device)
        first_step = self.samples_seen // self.loop.batch_size
        batches = prefetched(self.load, range(first_step, self.num_steps), self.device)
        for step, batch in enumerate(meter.timed(batches), start=first_step):
            if step == first_step and self.device.type == "cuda":
                meter.tflop_per_sample = fmean(self.trainable.sample_tflop(self.sample_ids(step)))
            self.step(step, batch)
            num_done = step + 1
            is_last = num_done == self.num_steps
            self.log(num_done, report, meter)
            self.writer.raise_error()
            is_stopped = (self.is_stopped or (self.ranks.size == 1 and stop())) and not is_last
            if is_last or is_stopped or num_done % self.loop.checkpoint_every == 0:
                self.save()
            if is_stopped:
                self.writer.wait()
                self.ranks.barrier(self.device)  # no rank leaves before the state is saved
                raise Interrupted(
                    f"stopped at {self.samples_seen:,} of {self.num_steps * self.loop.batch_size:,} samples; "
                    "the state is saved: run the same command again to go on from there"
                )

    def sample_ids(self, step: int) -> Sequence[int]:
        """Ids of the samples in the global batch of step `step`, counted from 0."""
        ids = range(step * self.loop.batch_size, (step + 1) * self.loop.batch_size)
        return replace_left_out(ids, self.loop.left_out)

    def load(self, step: int) -> "_RankBatch[BatchT]":
        """Read this rank's samples of a batch, which are dealt by their cost."""
        ids = self.sample_ids(step)
        if self.ranks.size > 1:
            together = self.trainable.micro_batch or self.loop.batch_size
            num_ranks = min(self.ranks.size, len(ids))
            dealt = deal(self.trainable.sample_tflop(ids), num_ranks, together)[self.ranks.rank % num_ranks]
        else:
            dealt = list(range(len(ids)))
        share = self.ranks.share(len(dealt), len(ids))
        return _RankBatch(self.trainable.load([ids[position] for position in dealt]), share)

    def step(self, step: int, batch: "_RankBatch[BatchT]") -> None:
        """Take one optimizer step: backward, clip, check, update weights, average and clock."""
        learning_rate = learning_rate_at(self.samples_seen, self.loop, self.settings)
        set_learning_rate(self.optimizer, learning_rate)
        buffers = self.copies_of_buffers()
        metrics = self.backward(batch)
        norms = [
            full_tensor(nn.utils.clip_grad_norm_(group, self.settings.max_grad_norm, foreach=True))
            for group in self.groups
        ]
        values = _to_floats(metrics | {"grad_norm": norms[0]})
        self.is_stopped = values.pop(STOP, 0.0) > 0
        if self.check_loss(step, values, norms):
            self.optimizer.step()
            self.average.update(step + 1)
            self.history.accumulator.add(
                {f"train/{name}": value for name, value in values.items()} | {"train/lr": learning_rate}
            )
        else:
            self.skipped_steps += 1
            for buffer, copy in buffers:
                buffer.copy_(copy)
        self.optimizer.zero_grad(set_to_none=True)  # not at the next step: a validation may need the memory
        self.samples_seen = (step + 1) * self.loop.batch_size

    def copies_of_buffers(self) -> list[tuple[Tensor, Tensor]]:
        """Each buffer with a copy, where steps may be skipped: a forward pass changes a BatchNorm's statistics."""
        if self.loop.max_skipped_steps == 0:
            return []
        return [(buffer, buffer.clone()) for module in self.modules for buffer in module.buffers()]

    def backward(self, batch: "_RankBatch[BatchT]") -> dict[str, Tensor]:
        """Accumulate the gradients of all micro-batches, sum them over the ranks, and return the step's metrics."""
        totals: dict[str, Tensor] = {}
        micro_batches = self.trainable.micro_batches(batch.samples)
        is_last = False
        while True:
            with self.autocast():  # for the forward pass, which runs in here; the backward pass must be outside
                micro_batch = next(micro_batches, None)
            if micro_batch is None:
                break
            loss, is_last = micro_batch.loss * batch.share, micro_batch.is_last
            sum_gradients(self.trainable.model, now=is_last)
            if is_last:
                self.sums.begin(loss)
            loss.backward()  # type: ignore[no-untyped-call]
            for name, value in micro_batch.metrics.items():
                value = value.detach() * batch.share
                totals[name] = totals[name] + value if name in totals else value
        assert is_last or not self.state.is_sharded, "where weights are sharded, a micro-batch must be the last"
        self.sums.finish()
        if self.ranks.size > 1:  # a sum of its own would be waited for in every step
            totals[STOP] = torch.full((), float(self.stop()), device=self.device)
        self.ranks.all_reduce_sum(list(totals.values()))
        return totals

    def autocast(self) -> torch.autocast:
        """The precision of forward passes, in training and in validation."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.loop.precision == "bf16")

    def check_loss(self, step: int, values: Mapping[str, float], norms: list[Tensor]) -> bool:
        """Whether this step may reach the weights; raise FloatingPointError where the training must end before it.

        Every rank gives the same answer: gradients and metrics are sums over all ranks.
        """
        first = self.history.first("train/loss")
        if not all(math.isfinite(value) for value in (*values.values(), *map(float, norms))):
            if self.skipped_steps < self.loop.max_skipped_steps:
                return False
            fault = "is not finite"
        elif first is not None and values["loss"] > DIVERGED * abs(first):
            fault = f"has exploded to more than {DIVERGED} times the {first:.3g} of the beginning"
        else:
            return True
        self.writer.wait()
        newest = self.ranks.broadcast(self.checkpoints.newest_path() if self.ranks.is_first else None)
        first_id, last_id = step * self.loop.batch_size, (step + 1) * self.loop.batch_size - 1
        ids = self.sample_ids(step)
        ranges = str(as_ranges(ids))[1:-1]
        skipped = f", after {self.skipped_steps} skipped steps" if self.skipped_steps else ""
        raise FloatingPointError(
            f"the loss {fault} at step {step + 1} (samples {first_id}..{last_id}){skipped}: {dict(values)}. "
            f"Its items: {', '.join(self.trainable.names(ids))}. "
            f"Last good checkpoint: {newest}. "
            f"Lower optimizer.learning_rate, or leave these samples out with {ranges} in loop.left_out"
            + ("" if newest is None else f", and set continue_from to {self.checkpoints.fingerprint} to go on from it")
        )

    @property
    def saves_state(self) -> bool:
        """Whether this rank takes part in validating and saving: rank 0, or every rank that holds a shard."""
        return self.ranks.is_first or self.state.is_sharded

    def log(self, num_done: int, report: Report, meter: ThroughputMeter) -> None:
        """Add a row to the history, and report it, after a step that is logged, validated or the last."""
        is_last = num_done == self.num_steps
        row: Row = {}
        if is_last or num_done % self.loop.log_every == 0:
            row |= self.history.accumulator.pop_means()
            if self.loop.max_skipped_steps:
                row["train/skipped_steps"] = self.skipped_steps
        if self.saves_state and (is_last or num_done % self.loop.validate_every == 0):
            row |= self.validate()
        if row:
            self.history.append(self.samples_seen, row)
            if self.ranks.is_first:
                report(self.samples_seen, row | meter.since_last(self.samples_seen))

    def validate(self) -> dict[str, float]:
        """Metrics of the averaged weights; the model is in training mode with its own weights afterwards."""
        self.trainable.model.eval()
        with self.average.applied(), torch.no_grad(), self.autocast():
            metrics = self.trainable.validate()
        self.trainable.model.train()
        return metrics

    def save(self) -> None:
        """Write a checkpoint of all that the rest of the training depends on; random draws follow from the clock."""
        if not self.saves_state:
            return
        state = self.state.gather() | {
            "history": self.history.state(),
            "skipped_steps": self.skipped_steps,
            "origins": self.origins,
            "state_bits": self.settings.state_bits,
        }
        if self.ranks.is_first:
            self.writer.save(self.samples_seen, state, is_best=self.history.is_best_at(self.samples_seen))

    def restore(self) -> None:
        """Load the checkpoint that rank 0 finds into all ranks; start from zero where there is none.

        One of another training is saved at once as this one's own, since that training may go on or be removed.
        """
        found, problem = self.find_start() if self.ranks.is_first else (None, None)
        if (problem := self.ranks.broadcast(problem)) is not None:
            raise problem
        names = ("samples_seen", "history", "skipped_steps", "origins", "fingerprint")
        told: dict[str, Any] | None = None if found is None else {name: found.get(name) for name in names}
        progress = self.ranks.broadcast(told)
        if progress is None:
            return
        self.samples_seen = progress["samples_seen"]
        self.history.load_state(progress["history"])
        self.skipped_steps, self.origins = progress["skipped_steps"] or 0, progress["origins"] or []  # new in 0.3
        self.state.load_from_rank0(found or EMPTY_STATE)
        if progress["fingerprint"] != self.checkpoints.fingerprint:
            self.save()
            self.writer.wait()

    def find_start(self) -> tuple[dict[str, Any] | None, ValueError | None]:
        """The state to begin with, or why there is none, which all ranks must hear of."""
        try:
            found = load_start(
                self.checkpoints,
                self.origin,
                loop=self.loop,
                optimizer=self.settings,
                shapes=self.state.shapes(),
                # a memory map of a file that is removed later would keep its room on the disk
                is_mapped=self.device.type != "cpu",
            )
        except ValueError as error:
            return None, error
        return found, None


def _to_floats(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """All metrics in one transfer from the device."""
    values = torch.stack([value.float().reshape(()) for value in metrics.values()]).tolist()
    return dict(zip(metrics, values, strict=True))
