"""The table scores.csv in a folder of objects: what is known of them besides their files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from render.axes import UpAxis, parse_up_axis
from tasks.sources.names import plain_uid
from tasks.sources.score_tables import SCORE, UID, scores_in
from tasks.sources.source import some, taken_for_a_number
from tasks.sources.spreadsheet import read_table

UP_AXIS = "up_axis"
TABLE = "scores.csv"
"""Table with the column uid and one or more of aesthetic_score, title, license and up_axis."""


@dataclass(frozen=True)
class FolderTable:
    """What the table says of the folder's objects, by uid."""

    scores: Mapping[str, float] = field(default_factory=dict)
    """Aesthetic scores."""
    notes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """All cells of an object's row by column."""
    up_axes: Mapping[str, UpAxis] = field(default_factory=dict)
    """Axes of the files that point up, where a row has one."""
    unknown: Sequence[str] = ()
    """Names in the table that no object has."""


def read_folder_table(root: Path, uids: Collection[str]) -> FolderTable:
    """Read the table of the folder `root`, whose objects have `uids`; it says nothing where the folder has none.

    A row names its object by uid or by the name of its file without ending.

    Raises ValueError with line and value for a cell that cannot be understood, and when no row names an object.
    """
    path = root / TABLE
    if not path.exists():
        return FolderTable()
    notes: dict[str, Mapping[str, str]] = {}
    axes: dict[str, UpAxis] = {}
    table = read_table(path)
    rows = []
    for row in table.rows:
        rows.append(row)
        if UID not in row.cells:
            continue
        uid = _uid(row.cells[UID], uids)
        notes[uid] = row.cells
        if row.cells.get(UP_AXIS):
            try:
                axes[uid] = parse_up_axis(row.cells[UP_AXIS])
            except ValueError as error:
                raise ValueError(f"{row.where}: {error}") from None
    is_scored = SCORE in table.columns or not axes
    named_scores = scores_in(replace(table, rows=iter(rows))) if is_scored else {}
    scores = {_uid(name, uids): score for name, score in named_scores.items()}
    unknown = [name for name in notes | scores if name not in uids]
    if unknown and len(unknown) == len(notes | scores):
        raise ValueError(
            f"{path} names {len(unknown)} objects, such as {some(unknown)}, none of which is in the folder, whose "
            f"objects have uids such as {some(uids)}: write these{taken_for_a_number(unknown, uids)}"
        )
    return FolderTable(scores, notes, axes, unknown)


def _uid(name: str, uids: Collection[str]) -> str:
    """Return the uid of the object that has the name; the name itself where there is none."""
    plain = plain_uid(name)
    return plain if name not in uids and plain in uids else name
