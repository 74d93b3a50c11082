"""A Trainable at toy size: fits a line to points that are a function of the sample number."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.config import LoopConfig, OptimizerConfig
from models.data.draws import Stream, rng_of
from models.training.checkpoints import Checkpoints
from models.training.cost import SampleCost
from models.training.distributed import SINGLE, Ranks
from models.training.emulated_autocast import Device
from models.training.loop import TrainingResult, train
from models.training.trainable import MicroBatchLoss

OPTIMIZER = OptimizerConfig(
    learning_rate=0.05, betas=(0.9, 0.99), weight_decay=0.01, schedule="cosine", warmup_samples=8, max_grad_norm=1.0
)
LOOP = LoopConfig(batch_size=4, samples=80, ema_decay=0.9, log_every=3, validate_every=5, checkpoint_every=5)


class Line:
    """y = 3 x - 1, seen through noise; the loss comes in as many parts as asked for."""

    def __init__(
        self, num_parts: int = 1, poisoned: int | None = None, poison: float = torch.nan, width: int = 8
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            wide = [nn.Linear(width, width), nn.Tanh()] if width > 8 else []
            self.model = nn.Sequential(nn.Linear(1, width), nn.Tanh(), *wide, nn.Linear(width, 1))
        self.discriminator: nn.Module | None = None
        self.may_be_sharded = False
        self.frozen_parameters = 0
        self.micro_batch: int | None = None
        self.num_parts = num_parts
        self.poisoned, self.poison = poisoned, poison
        self.loaded: list[int] = []

    def load(self, sample_ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        self.loaded += sample_ids
        rows = [rng_of(0, Stream.SAMPLE, number).standard_normal(2) for number in sample_ids]
        x = torch.tensor([[row[0]] for row in rows], dtype=torch.float32)
        y = 3 * x - 1 + 0.01 * torch.tensor([[row[1]] for row in rows], dtype=torch.float32)
        if self.poisoned is not None and self.poisoned in sample_ids:
            y[list(sample_ids).index(self.poisoned)] = self.poison
        return x, y

    def micro_batches(self, batch: tuple[Tensor, Tensor]) -> Iterator[MicroBatchLoss]:
        x, y = batch
        for x_part, y_part in zip(x.chunk(self.num_parts), y.chunk(self.num_parts), strict=True):
            loss = (self.model(x_part) - y_part).square().sum() / len(x)
            yield MicroBatchLoss(loss, {"loss": loss})

    def sample_tflop(self, sample_ids: Sequence[int]) -> Sequence[float]:
        return [1.0] * len(sample_ids)

    def names(self, sample_ids: Sequence[int]) -> list[str]:
        return [f"point-{number}" for number in sample_ids]

    def cost(self, autocast: Device | None) -> SampleCost:  # noqa: ARG002
        return SampleCost(tflop=0.0, saved_activation_bytes=4 * 8)

    def validate(self) -> dict[str, float]:
        x, y = self.load(range(10_000, 10_016))
        return {"val/loss": (self.model(x) - y).square().mean().item()}


def run(
    trainable: Line,
    folder: Path,
    *,
    loop: LoopConfig = LOOP,
    optimizer: OptimizerConfig = OPTIMIZER,
    stop_at: int | None = None,
    ranks: Ranks = SINGLE,
    origin: Path | None = None,
) -> TrainingResult:
    """Train; `stop_at` is the clock at which a stop is asked for, `origin` the folder of the training to continue."""
    seen = [0]

    def report(samples_seen: int, metrics: object) -> None:  # noqa: ARG001
        seen[0] = samples_seen

    def stop() -> bool:
        return stop_at is not None and seen[0] >= stop_at

    return train(
        trainable,
        loop,
        optimizer,
        checkpoints=Checkpoints(folder, "toy" if origin is None else "continued"),
        report=report,
        stop=stop,
        ranks=ranks,
        origin=None if origin is None else Checkpoints(origin, "toy"),
    )


def weights(module: nn.Module) -> list[bytes]:
    """The exact bits of all weights."""
    return [parameter.detach().numpy().tobytes() for parameter in module.parameters()]


def assert_equal_bits(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_equal_bits(found[key], value)
    elif isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            assert_equal_bits(one, other)
    else:
        assert found == expected
