"""Compares two test sets for the command line: which views are the same, and which are not."""

from collections.abc import Iterator
from pathlib import Path

from tasks.artifacts.test_set import Comparison, compare
from tasks.sources.source import some

MAX_NAMED = 5


def check_set(first: Path, second: Path) -> tuple[bool, list[str]]:
    """Compare two test sets by their cameras and the hashes of their pixels.

    Args:
        first: A sealed test set such as data/gso_eval, or the `test_set.json` of one.
        second: The same.

    Returns whether they are equal, and lines that say how they differ.

    Raises ValueError where there is no `test_set.json`, or a file that is none.
    """
    found = compare(first, second)
    return found.is_equal, list(_lines(found, first, second))


def _lines(found: Comparison, first: Path, second: Path) -> Iterator[str]:
    yield f"{found.equal} views are equal"
    for views, what in (
        (found.pixels_differ, "have other pixels"),
        (found.cameras_differ, "have another camera"),
        (found.only_first, f"are in {first} alone"),
        (found.only_second, f"are in {second} alone"),
    ):
        if views:
            yield f"{len(views)} {what}: {some(views, MAX_NAMED)}"
