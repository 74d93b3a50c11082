"""The card of a data set of views, as the Hub shows it."""

from collections.abc import Collection, Sequence

from huggingface_hub import DatasetCardData

CARD = "README.md"
HUB_LICENSES = {
    "by": "cc-by-4.0",
    "by-sa": "cc-by-sa-4.0",
    "by-nd": "cc-by-nd-4.0",
    "by-nc": "cc-by-nc-4.0",
    "by-nc-sa": "cc-by-nc-sa-4.0",
    "by-nc-nd": "cc-by-nc-nd-4.0",
    "cc0": "cc0-1.0",
}
"""The Hub's names of Objaverse's licences."""
SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")
"""Bounds of the Hub's size categories."""
TEXT = """# Views of {num_objects:,} objects

{num_rows:,} posed RGBA views, one a row, rendered by [MVDiffusion++, open and complete](https://arxiv.org/abs/2402.12712).

| column | what |
| --- | --- |
| `uid`, `split`, `view` | the object, its part of the data set, and the name of the view: t.. targets, c.. conditions |
| `image` | PNG, RGBA, straight alpha, sRGB |
| `intrinsics` | 3x3, pixels; pixel centres at half integers |
| `extrinsics` | 4x4, camera from world; OpenCV axes (x right, y down, z forward) in a world with Z up |
| `azimuth_deg`, `elevation_deg`, `distance`, `fov_deg` | the same camera; it looks at the origin |
| `title`, `license` | of the 3D object, where they are known |

The longest side of an object is 1, its bounding box is centred at the origin.

## Licences

{licenses}
"""


def dataset_card(splits: Sequence[str], num_objects: int, num_rows: int, licenses: Collection[str]) -> str:
    """Write the card: Markdown with front matter.

    Args:
        splits: Names of the splits, whose files are `data/<split>-*`.
        num_objects: In all splits.
        num_rows: In all splits; one is a view.
        licenses: Of the objects, each once, in the words of their source; empty where one is not known.
    """
    named = sorted({hub_license(name) for name in licenses})
    files = [{"split": split, "path": f"data/{split}-*"} for split in splits]
    data = DatasetCardData(
        license="other" if "other" in named else named,
        task_categories=["image-to-3d"],
        tags=["3d", "multi-view", "novel-view-synthesis", "image"],
        size_categories=[size_category(num_rows)],
        pretty_name=f"Views of {num_objects:,} objects",
        configs=[{"config_name": "default", "data_files": files}],
    )
    text = TEXT.format(num_objects=num_objects, num_rows=num_rows, licenses=_terms(licenses))
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def hub_license(name: str) -> str:
    """Return the Hub's name of a licence, which Objaverse or the Hub itself names so; other where there is none."""
    own = name.lower()
    return HUB_LICENSES.get(own, own if own in HUB_LICENSES.values() else "other")


def size_category(num_rows: int) -> str:
    """Return the Hub's name for a number of rows, such as 10K<n<100K."""
    bounds = [10 ** (3 + power) for power in range(len(SIZES))]
    above = sum(num_rows >= bound for bound in bounds)
    if above == 0:
        return f"n<{SIZES[0]}"
    return f"n>{SIZES[-1]}" if above == len(SIZES) else f"{SIZES[above - 1]}<n<{SIZES[above]}"


def _terms(licenses: Collection[str]) -> str:
    known = sorted(filter(None, licenses))
    sentences = ["A view of an object is derived from it: who uses the views owes what the object's licence asks for."]
    if known:
        sentences.insert(0, f"Each object carries a licence of its own (column `license`): {', '.join(known)}.")
    if "" in licenses:
        sentences.append("Of objects without one in the column `license` it is not known.")
    return "\n".join(sentences)
