"""Means over objects and seeds, and paired differences, with standard errors that take both for random.

Objects and seeds are crossed: every seed is tried on every object. The variance of the grand mean of a x b values is
(MS_objects + MS_seeds - MS_rest) / (a b) with the mean squares of a two-way analysis of variance without replication,
both effects random: an effect that one seed alone shows, or one object, is no finding.
"""

# Shapes: O object, S seed

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Values = Mapping[tuple[str, int], float]
"""(object, seed) -> value."""


@dataclass(frozen=True)
class Estimate:
    """A mean over objects and seeds."""

    mean: float
    error: float | None
    """Standard error; None from a single value."""
    objects: int
    seeds: int
    better: int
    """Objects whose mean over the seeds is above zero; of interest for differences."""

    def text(self, digits: int = 2, *, signed: bool = False) -> str:
        """The mean and its standard error, e.g. "+0.93 ± 0.24"."""
        mean = f"{self.mean:{'+' if signed else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")
        return mean if self.error is None else f"{mean} ± {self.error:.{digits}f}"


def estimate(values: Values) -> Estimate | None:
    """Average over the objects and seeds that have every combination; None where there are none."""
    table_OS = full_table(values)
    if not table_OS.size:
        return None
    objects, seeds = table_OS.shape
    better = int((table_OS.mean(axis=1) > 0).sum())
    return Estimate(float(table_OS.mean()), standard_error(table_OS), objects, seeds, better)


def difference(one: Values, other: Values) -> Estimate | None:
    """Average of `one` less `other`, object by object and seed by seed."""
    return estimate({key: one[key] - other[key] for key in one.keys() & other.keys()})


def full_table(values: Values) -> Floats:
    """Values (O, S) of the objects that every seed has."""
    seeds = sorted({seed for _, seed in values})
    uids = [uid for uid in sorted({uid for uid, _ in values}) if all((uid, seed) in values for seed in seeds)]
    return np.array([[values[uid, seed] for seed in seeds] for uid in uids]).reshape(len(uids), len(seeds))


def standard_error(table_OS: Floats) -> float | None:
    """Standard error of the grand mean; never below that over objects or over seeds alone. None for one value."""
    objects, seeds = table_OS.shape
    if objects * seeds < 2:
        return None
    grand, of_objects, of_seeds = table_OS.mean(), table_OS.mean(axis=1), table_OS.mean(axis=0)
    square_O = seeds * np.square(of_objects - grand).sum() / (objects - 1) if objects > 1 else 0.0
    square_S = objects * np.square(of_seeds - grand).sum() / (seeds - 1) if seeds > 1 else 0.0
    rest = 0.0
    if objects > 1 and seeds > 1:
        residual_OS = table_OS - of_objects[:, None] - of_seeds[None, :] + grand
        rest = np.square(residual_OS).sum() / ((objects - 1) * (seeds - 1))
    variance = max(square_O + square_S - rest, square_O, square_S) / (objects * seeds)
    return float(np.sqrt(variance))
