"""The front matter of a data set's card, as the Hugging Face hub reads it."""

from collections.abc import Collection, Sequence
from typing import Any

from huggingface_hub import DatasetCardData

from tasks.artifacts.licences import hub_licence

CARD = "README.md"
SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")
"""Bounds of the hub's size categories."""
TAGS = ("3d", "multi-view", "novel-view-synthesis")


def front_matter(name: str, num_rows: int, licences: Collection[str], tags: Sequence[str], **more: Any) -> str:
    """Return the front matter, with the lines around it.

    Args:
        name: The data set's.
        num_rows: As the hub counts them.
        licences: Of the objects, each once, in any words; the hub is told `other` where it does not know one of them.
        tags: Besides those of all data sets of views.
        more: Other fields of the card.
    """
    named = {hub_licence(text) for text in licences}
    data = DatasetCardData(
        license="other" if "other" in named else sorted(named),
        task_categories=["image-to-3d"],
        tags=[*TAGS, *tags],
        size_categories=[size_category(num_rows)],
        pretty_name=name,
        **more,
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def size_category(num_rows: int) -> str:
    """Return the hub's name for a number of rows, such as 10K<n<100K."""
    bounds = [10 ** (3 + power) for power in range(len(SIZES))]
    above = sum(num_rows >= bound for bound in bounds)
    if above == 0:
        return f"n<{SIZES[0]}"
    return f"n>{SIZES[-1]}" if above == len(SIZES) else f"{SIZES[above - 1]}<n<{SIZES[above]}"


def license_link(licences: Collection[str], link: str) -> dict[str, str]:
    """Return the card's fields that lead to a list of licences, which `other` asks for."""
    is_other = any(hub_licence(text) == "other" for text in licences)
    return {"license_name": "per-object", "license_link": link} if is_other else {}
