"""Learning curves: a straight line over the logarithm of what was trained on, and what it says of more.

A line is fitted for each object and seed by itself, so that the errors of slope and extrapolation take objects and
seeds for random and hold what the points share, as all have the same objects. Whether the line goes on is not in them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from models.data.latents import LatentSet
from tasks.artifacts.cases import Case
from tasks.training.stage import training_objects
from tests.bench.study.results import Results, Run
from tests.bench.study.statistics import Estimate, Floats, Values, estimate

Combination = Callable[[Floats, Floats], float]
"""(binary logarithms of the quantities, values of an object and seed) -> a number."""
BEYOND = (4, 16)
"""Multiples of the most samples, or objects, to which a line is continued."""


@dataclass(frozen=True)
class Curve:
    """A metric of every object and seed over a quantity: samples, or objects trained on."""

    variant: str
    over: str
    """What the quantity is called."""
    points: Mapping[int, Values]
    """Quantity -> values; two or more."""

    @property
    def per_doubling(self) -> Estimate:
        """The line's slope: what twice the quantity brings."""
        return self._combined(lambda x, y: float(np.polyfit(x, y, 1)[0]))

    def at(self, quantity: float) -> Estimate:
        """What the line says there."""
        return self._combined(lambda x, y: float(np.polyval(np.polyfit(x, y, 1), np.log2(quantity))))

    @property
    def misfit(self) -> float | None:
        """Root mean square of what the points' means differ from the line by; None for two points, which have none."""
        if len(self.points) < 3:
            return None
        rest = [self._combined(partial(_residual, place)).mean for place in range(len(self.points))]
        return float(np.sqrt(np.mean(np.square(rest))))

    @property
    def is_known(self) -> bool:
        """Whether an object and seed has all points."""
        return bool(self._shared)

    @property
    def _shared(self) -> set[tuple[str, int]]:
        return set.intersection(*(set(values) for values in self.points.values()))

    def _combined(self, what: Combination) -> Estimate:
        quantities = sorted(self.points)
        x = np.log2(quantities)
        found = {key: float(what(x, np.array([self.points[one][key] for one in quantities]))) for key in self._shared}
        combined = estimate(found)
        assert combined is not None, "is_known"
        return combined


def _residual(place: int, x: Floats, y: Floats) -> float:
    """How far the point at a place is above the line."""
    return float(y[place] - np.polyval(np.polyfit(x, y, 1), x[place]))


def learning_curves(results: Results, case: Case, group: str, metric: str) -> Iterator[Curve]:
    """Yield every variant's curve over samples, and the one over objects where variants differ in `max_objects` alone.

    Args:
        results: Of all finished runs.
        case: Of the last stage.
        group: Of objects.
        metric: One of the scores.
    """
    for variant in results.variants:
        by_samples = {
            samples: values
            for samples in results.budgets
            if (values := results.values(variant, samples, case, group, metric))
        }
        if len(by_samples) > 1 and (curve := Curve(variant, "samples", by_samples)).is_known:
            yield curve
    for samples in results.budgets:
        runs = [results.of(variant, samples)[0] for variant in results.variants if results.of(variant, samples)]
        alike = [run for run in runs if differs_in_objects_alone(run)]
        if len(alike) > 1:
            by_objects = {
                num_objects(run): results.values(run.job.cell.variant, samples, case, group, metric) for run in alike
            }
            if (curve := Curve(f"{samples:,} samples", "objects", by_objects)).is_known:
                yield curve


def differs_in_objects_alone(run: Run) -> bool:
    """Whether a run's variant is the study itself but for the number of objects that it trains on."""
    return all(key.endswith(".max_objects") for key in run.job.cell.changes)


def num_objects(run: Run) -> int:
    """Number of objects that a run's last stage trained on."""
    last = run.job.cell.stages[-1]
    return len(training_objects(LatentSet.open(run.job.data.latents), run.job.stage_config(last)))
