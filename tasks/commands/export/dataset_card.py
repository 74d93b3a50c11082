"""The card of a data set of views, as the Hub shows it."""

from collections.abc import Collection, Sequence

from tasks.commands.hub_card import front_matter
from tasks.report.words import counted

TEXT = """# Views of {objects}

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
    files = [{"split": split, "path": f"data/{split}-*"} for split in splits]
    configs = [{"config_name": "default", "data_files": files}]
    front = front_matter(f"Views of {counted(num_objects, 'object')}", num_rows, licenses, ["image"], configs=configs)
    return front + TEXT.format(objects=counted(num_objects, "object"), num_rows=num_rows, licenses=_terms(licenses))


def _terms(licenses: Collection[str]) -> str:
    known = sorted(filter(None, licenses))
    sentences = ["A view of an object is derived from it: who uses the views owes what the object's licence asks for."]
    if known:
        sentences.insert(0, f"Each object carries a licence of its own (column `license`): {', '.join(known)}.")
    if "" in licenses:
        sentences.append("Of objects without one in the column `license` it is not known.")
    return "\n".join(sentences)
