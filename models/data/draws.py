"""Every random choice of training as a function of (seed, sample id). Knows no data and keeps no state.

So a training that resumes draws what the uninterrupted one would have drawn, and neither batch size, number of ranks
nor order of reading changes a sample. The generators are counter-based (Philox) because a sample needs several, which
must be cheap to make; names are hashed to seeds by tasks.artifacts.randomness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
REPLACEMENTS = 2**48
"""Added to the id of a sample that is left out, gives the id of the one drawn in its place: beyond every training."""


class Stream(IntEnum):
    """Independent random streams of one sample id; a change of these values changes every training."""

    SHUFFLE = 0
    """Order of the objects or images in an epoch; the id is the epoch's."""
    SAMPLE = 1
    """Views, timestep, condition dropout or crop of a training sample."""
    NOISE = 2
    """Noise of a training sample: of its posterior sample and of the diffusion."""
    VALIDATION = 3
    VALIDATION_NOISE = 4


def rng_of(seed: int, stream: Stream, sample_id: int) -> np.random.Generator:
    """The generator of one stream of one sample: Philox with key (seed, sample id) and counter (stream)."""
    key = np.array([seed, sample_id], dtype=np.uint64)
    counter = np.array([0, 0, 0, stream], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def item_of(seed: int, sample_id: int, num_items: int) -> int:
    """The index of the object or image that a sample shows: each once per epoch, reshuffled every epoch."""
    epoch, position = divmod(sample_id, num_items)
    return int(_epoch_order(seed, epoch, num_items)[position])


def replace_left_out(sample_ids: range, left_out: Sequence[tuple[int, int]]) -> Sequence[int]:
    """Put other samples in the place of those that are left out, where need be repeatedly; the others stay.

    Args:
        sample_ids: Of a batch, by the training's clock.
        left_out: Ranges [first, last] of ids, both inclusive.

    Returns:
        As many ids, in the same order.
    """
    if not any(first < sample_ids.stop and sample_ids.start <= last for first, last in left_out):
        return sample_ids
    return [_replaced(number, left_out) for number in sample_ids]


def _replaced(sample_id: int, left_out: Sequence[tuple[int, int]]) -> int:
    while any(first <= sample_id <= last for first, last in left_out):
        sample_id += REPLACEMENTS
    return sample_id


def as_ranges(sample_ids: Sequence[int]) -> list[list[int]]:
    """Write ids as ranges [first, last], both inclusive, of consecutive ones, in the form of `left_out`."""
    ranges: list[list[int]] = []
    for number in sample_ids:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def clock_of(sample_id: int) -> int:
    """The place of a sample in the training's order, which is its id, or that of the sample that it replaces."""
    return sample_id % REPLACEMENTS


@lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, num_items: int) -> Indices:
    return rng_of(seed, Stream.SHUFFLE, epoch).permutation(num_items)


@dataclass(frozen=True)
class SampleDraw:
    """The random choices of one sample of a diffusion training."""

    sample_id: int
    item: int
    """Index of the object."""
    conditions: Indices
    """(K,) indices of the condition views; the targets' azimuths count from the first one's."""
    targets: Indices
    """(T,) ids of the targets that view dropout keeps (sec. 4.3), ascending."""
    timestep: int
    """The same for all views of the object."""
    is_unconditional: bool
    """Whether condition dropout applies, for classifier-free guidance."""


@dataclass(frozen=True)
class SamplePlan:
    """The distribution of the samples of one diffusion training (sec. 4.3, 5.5); fields are named as in params.yaml.

    `StageConfig.check_views` says whether the objects have the views that it asks for.
    """

    seed: int
    num_items: int
    num_conditions: int
    """Condition views of each object."""
    num_targets: int
    """Target views of each object, 32 in the paper."""
    kept_targets: int
    """Targets of one sample after view dropout."""
    multi_condition_share: float
    """Probability of several condition views instead of one."""
    multi_conditions: tuple[int, int]
    """Inclusive range of the number of condition views in the samples that have several."""
    condition_drop: float
    """Probability of condition dropout."""
    timesteps: int
    """Timesteps of the diffusion process."""

    def draw(self, sample_id: int) -> SampleDraw:
        """Draw a training sample."""
        return self._draw(sample_id, item_of(self.seed, sample_id, self.num_items), Stream.SAMPLE)

    def draw_validation(self, sample_id: int, *, timestep: int) -> SampleDraw:
        """Draw a validation sample: objects in turn, at a given timestep, without condition dropout."""
        drawn = self._draw(sample_id, sample_id % self.num_items, Stream.VALIDATION)
        return replace(drawn, timestep=timestep, is_unconditional=False)

    def count_conditions(self, sample_id: int) -> int:
        """Number of condition views of a training sample, which `draw` gives as well, at a third of its time."""
        rng = rng_of(self.seed, Stream.SAMPLE, sample_id)
        rng.integers(self.timesteps)
        rng.random()
        return self._count_conditions(rng)

    def _draw(self, sample_id: int, item: int, stream: Stream) -> SampleDraw:
        # the order of these calls is part of the result
        rng = rng_of(self.seed, stream, sample_id)
        timestep = int(rng.integers(self.timesteps))
        is_unconditional = bool(rng.random() < self.condition_drop)
        num_chosen = self._count_conditions(rng)
        conditions = rng.permutation(self.num_conditions)[:num_chosen]
        targets = np.sort(rng.permutation(self.num_targets)[: self.kept_targets])
        return SampleDraw(sample_id, item, conditions, targets, timestep, is_unconditional)

    def _count_conditions(self, rng: np.random.Generator) -> int:
        """Draw the number of condition views."""
        if rng.random() < self.multi_condition_share:
            return int(rng.integers(self.multi_conditions[0], self.multi_conditions[1] + 1))
        return 1


def aligned_views(targets: Indices, column: int, num_columns: int) -> Indices:
    """Map target ids to stored views, for targets whose column 0 stands at the first condition's azimuth (sec. 4.1).

    Args:
        targets: (T,) target ids; like stored views they are row-major, elevations outer and azimuths inner.
        column: Azimuth column of the first condition view among the stored views.
        num_columns: Azimuths per elevation, 8 in the paper.

    Returns:
        (T,) indices of stored views: a cyclic shift of the columns.
    """
    rows, columns = np.divmod(targets, num_columns)
    return rows * num_columns + (columns + column) % num_columns
