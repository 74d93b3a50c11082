"""What is expected of a set of views, and whether it holds; each expectation says its own numbers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from tasks.config import OnFailure, RangeExpectation, ValidateConfig
from tasks.validation.appearance import Appearance
from tasks.validation.lookalikes import LookAlikes, find_lookalikes

MAX_EXAMPLES = 10


@dataclass(frozen=True)
class Expectation:
    """One expectation and what was found."""

    name: str
    says: str
    """What is expected of an object, in words with the bounds."""
    objects: int
    """Number of objects that were asked."""
    failed: int
    """Number of those that it does not hold for."""
    max_share: float
    """Share of the objects for which it need not hold."""
    on_failure: OnFailure
    examples: tuple[str, ...]
    """Some of those that it does not hold for, with their values; the worst come first."""

    @property
    def share(self) -> float:
        """Share of the objects that it does not hold for."""
        return self.failed / self.objects if self.objects else 0.0

    @property
    def passed(self) -> bool:
        """Whether it holds for enough objects."""
        return self.share <= self.max_share

    def __str__(self) -> str:
        """Return one line with all numbers."""
        examples = f", such as {', '.join(self.examples[:3])}" if self.examples else ""
        return (
            f"{self.name}: {self.says} does not hold for {self.failed:,} of {self.objects:,} objects "
            f"({self.share:.1%}; validate_views.{self.name}.max_share is {self.max_share:.1%}){examples}"
        )


def check(
    appearance: Appearance, is_val: npt.NDArray[np.bool_], config: ValidateConfig
) -> tuple[list[Expectation], LookAlikes]:
    """Ask all expectations.

    Args:
        appearance: Measurements of N objects.
        is_val: Which of them (N) are held out from training.
        config: The bounds.

    Returns the expectations, and the objects that look like another one.
    """
    alike = find_lookalikes(appearance.thumbnails, config.duplicates.distance)
    leaks = find_lookalikes(appearance.thumbnails, config.leaks.distance, is_val, ~is_val)
    found = [
        _views(appearance, config),
        _within("coverage", appearance.coverage, appearance, config.coverage),
        _within("brightness", appearance.brightness, appearance, config.brightness),
        Expectation(
            "duplicates",
            f"thumbnails differ from those of every other object by more than {config.duplicates.distance:g}",
            *(len(is_val), len(alike.index)),
            *(config.duplicates.max_share, config.duplicates.on_failure),
            tuple(_pairs(appearance, alike)),
        ),
        Expectation(
            "leaks",
            f"thumbnails of a validation object differ from those of training by more than {config.leaks.distance:g}",
            *(int(is_val.sum()), len(leaks.index)),
            *(config.leaks.max_share, config.leaks.on_failure),
            tuple(_pairs(appearance, leaks)),
        ),
    ]
    return found, alike


def as_row(one: Expectation) -> dict[str, object]:
    """Return an expectation as manifests and tables have it."""
    return asdict(one) | {"share": one.share, "passed": one.passed, "examples": list(one.examples)}


def _views(appearance: Appearance, config: ValidateConfig) -> Expectation:
    """All objects have as many views as most of them."""
    usual = Counter(appearance.views.tolist()).most_common(1)[0][0]
    others = np.flatnonzero(appearance.views != usual)
    examples = [f"{appearance.uid[index]} with {appearance.views[index]}" for index in others[:MAX_EXAMPLES]]
    bound = config.views
    return Expectation(
        "views", f"{usual} views", len(appearance.uid), len(others), bound.max_share, bound.on_failure, tuple(examples)
    )


def _within(name: str, values: npt.NDArray[np.float32], appearance: Appearance, bound: RangeExpectation) -> Expectation:
    outside = np.maximum(bound.low - values, values - bound.high)
    worst: Sequence[int] = np.argsort(-outside, kind="stable")[: min(MAX_EXAMPLES, int((outside > 0).sum()))].tolist()
    return Expectation(
        name,
        f"{name} from {bound.low:g} to {bound.high:g}",
        *(len(values), int((outside > 0).sum())),
        *(bound.max_share, bound.on_failure),
        tuple(f"{appearance.uid[index]} with {values[index]:.3f}" for index in worst),
    )


def _pairs(appearance: Appearance, alike: LookAlikes) -> Iterator[str]:
    """Yield the nearest pairs, each once."""
    seen: set[frozenset[int]] = set()
    for row in np.argsort(alike.distance, kind="stable"):
        pair = frozenset((int(alike.index[row]), int(alike.nearest[row])))
        if pair not in seen:
            seen.add(pair)
            yield (
                f"{appearance.uid[alike.index[row]]} like {appearance.uid[alike.nearest[row]]} "
                f"({alike.distance[row]:.4f})"
            )
        if len(seen) == MAX_EXAMPLES:
            return
