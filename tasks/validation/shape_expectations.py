"""What is expected of the shapes of objects that are held out or tested on: that training has none like them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.artifacts.shapes import Shapes
from tasks.config import CopyExpectation, ValidateConfig
from tasks.validation.copies import Copy, find_copies
from tasks.validation.expectations import MAX_EXAMPLES, Expectation


@dataclass(frozen=True)
class ShapeChecks:
    """The expectations, and what to do about them."""

    expectations: Sequence[Expectation]
    leaking: Sequence[Copy]
    """Training objects, each once, that have the shape of one that is held out or tested on, sorted by uid; empty where
    the expectations hold."""
    held_out: Sequence[Copy] = ()
    """Each held-out object that has the shape of one in training, with the nearest such one; nearest pairs first."""


def check_shapes(
    objects: Shapes, val_uids: npt.NDArray[np.str_], tested: Shapes, config: ValidateConfig
) -> ShapeChecks:
    """Compare objects that are held out, and those that are tested on, with the others.

    Args:
        objects: Those that have views.
        val_uids: Those of them that are held out from training.
        tested: Objects that test sets from outside show.
        config: The bounds.
    """
    is_val = np.isin(objects.uid, val_uids)
    held_out = Shapes(objects.uid[is_val], objects.shape[is_val])
    training = Shapes(objects.uid[~is_val], objects.shape[~is_val])
    in_validation = find_copies(held_out, training, config.shape_leaks.distance)
    in_tests = find_copies(tested, training, config.test_leaks.distance)
    asked = {
        "shape_leaks": ("a validation object", held_out, in_validation, config.shape_leaks),
        "test_leaks": ("an object that is tested on", tested, in_tests, config.test_leaks),
    }
    found = {name: _expectation(name, *question) for name, question in asked.items()}
    leaking = [pair for name, (_, _, pairs, _) in asked.items() if not found[name].passed for pair in pairs]
    held_out_pairs = sorted(_nearest(in_validation), key=lambda pair: pair.distance)
    turned = (Copy(pair.like, pair.uid, pair.distance) for pair in leaking)
    return ShapeChecks(list(found.values()), _nearest(turned), held_out_pairs)


def _expectation(name: str, whose: str, asked: Shapes, copies: Sequence[Copy], bound: CopyExpectation) -> Expectation:
    return Expectation(
        name,
        f"the shape of {whose} differs from those of training by more than {bound.distance:g}",
        *(len(asked.uid), len({pair.uid for pair in copies})),
        *(bound.max_share, bound.on_failure),
        tuple(str(pair) for pair in copies[:MAX_EXAMPLES]),
    )


def _nearest(pairs: Iterable[Copy]) -> list[Copy]:
    """Return the nearest pair of each object, sorted by uid."""
    nearest: dict[str, Copy] = {}
    for pair in sorted(pairs, key=lambda pair: pair.distance):
        nearest.setdefault(pair.uid, pair)
    return [nearest[uid] for uid in sorted(nearest)]
