"""Every random choice of training as a function of (seed, sample number). Knows no data and keeps no state.

So a run that was interrupted draws what the undisturbed run would have drawn, and neither the batch size
nor the order in which samples are asked for changes a sample.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


class Purpose(IntEnum):
    """Independent streams of one sample; their numbers are part of the result."""

    SHUFFLE = 0
    SAMPLE = 1
    NOISE = 2
    VALIDATION = 3
    VALIDATION_NOISE = 4


def stream(seed: int, purpose: Purpose, number: int) -> np.random.Generator:
    """The generator of one purpose and one number: a counter-based bit generator keyed by them."""
    key = np.array([seed, number], dtype=np.uint64)
    counter = np.array([0, 0, 0, purpose], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def item_of(seed: int, number: int, num_items: int) -> int:
    """Which item sample `number` is: every item once per epoch, in an order drawn anew each epoch."""
    epoch, position = divmod(number, num_items)
    return int(_epoch_order(seed, epoch, num_items)[position])


@lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, num_items: int) -> Indices:
    return stream(seed, Purpose.SHUFFLE, epoch).permutation(num_items)


@dataclass(frozen=True)
class SampleDraw:
    """What one training sample of the diffusion is made of."""

    number: int
    item: int
    """Index of the object."""
    conditions: Indices
    """Indices of the condition views; the first is the reference of the azimuth alignment."""
    targets: Indices
    """Kept target ids, ascending (view dropout, sec. 4.3); ids count from the reference column."""
    timestep: int
    """One for all views of the object."""
    is_unconditional: bool
    """Whether the condition is dropped, for classifier-free guidance."""


@dataclass(frozen=True)
class SamplePlan:
    """The distribution that samples are drawn from (sec. 4.3, 5.5)."""

    seed: int
    num_items: int
    num_conditions: int
    """Condition views that each object has."""
    num_targets: int
    kept_targets: int
    multi_condition_share: float
    multi_conditions: tuple[int, int]
    """Inclusive range of the number of condition views in the samples that have several."""
    condition_drop: float
    timesteps: int

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.kept_targets > self.num_targets:
            raise ValueError(f"kept_targets is {self.kept_targets}; the objects have {self.num_targets} target views")
        low, high = self.multi_conditions
        if self.multi_condition_share > 0 and not 1 <= low <= high <= self.num_conditions:
            raise ValueError(
                f"multi_conditions is {low}..{high}; the objects have {self.num_conditions} condition views: "
                "lower the range or render more (render.conditions)"
            )

    def draw(self, number: int) -> SampleDraw:
        """Training sample `number`."""
        return self._draw(number, item_of(self.seed, number, self.num_items), Purpose.SAMPLE)

    def draw_validation(self, number: int, *, timestep: int) -> SampleDraw:
        """Validation sample `number`: objects in turn, the timestep given, the condition never dropped."""
        drawn = self._draw(number, number % self.num_items, Purpose.VALIDATION)
        return SampleDraw(number, drawn.item, drawn.conditions, drawn.targets, timestep, is_unconditional=False)

    def _draw(self, number: int, item: int, purpose: Purpose) -> SampleDraw:
        rng = stream(self.seed, purpose, number)
        timestep = int(rng.integers(self.timesteps))
        is_unconditional = bool(rng.random() < self.condition_drop)
        has_several = bool(rng.random() < self.multi_condition_share)
        num_chosen = int(rng.integers(self.multi_conditions[0], self.multi_conditions[1] + 1)) if has_several else 1
        conditions = rng.permutation(self.num_conditions)[:num_chosen]
        targets = np.sort(rng.permutation(self.num_targets)[: self.kept_targets])
        return SampleDraw(number, item, conditions, targets, timestep, is_unconditional)


def aligned_views(targets: Indices, column: int, num_columns: int) -> Indices:
    """Stored views that stand at target ids `targets` once column 0 is the reference's azimuth (sec. 4.1).

    Views and ids are row-major: elevations outer, azimuth columns inner.
    """
    rows, columns = np.divmod(targets, num_columns)
    return rows * num_columns + (columns + column) % num_columns
