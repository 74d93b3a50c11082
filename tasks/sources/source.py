"""The interface of every source of objects, and the choice of what the configuration asks for."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from tasks.artifacts.randomness import share_of
from tasks.artifacts.tables import Entry, entries_of
from tasks.config import CatalogConfig
from tasks.outcome import Rejected

LIFT_LIMIT = "python -m flows run --set {}=null"
"""Command that lifts a limit on the number of objects."""


@dataclass(frozen=True)
class Listing:
    """What a source holds."""

    table: pa.Table
    """The objects that the configuration asks for, sorted by uid, with the source's own scores
    (tasks.artifacts.catalog_columns)."""
    turned_away: Sequence[Rejected] = ()
    """What else it holds, with the reason why it is not listed."""
    others: Collection[str] = ()
    """Uids of a hub that the configuration does not ask for: too many for a row each."""
    unmatched: Sequence[str] = ()
    """Patterns of `catalog.include` that match no object."""
    unknown_scores: Sequence[str] = ()
    """Names in the source's own table of scores that no object has."""

    @property
    def entries(self) -> list[Entry]:
        """The objects as rows."""
        return entries_of(self.table)

    @property
    def passed_over(self) -> set[str]:
        """Uids of what the source holds beside the listed objects."""
        return {*(row.uid for row in self.turned_away), *self.others}


class FileSource(Protocol):
    """A place that the files of objects come from."""

    is_permanent: bool
    """Whether a location always names the same bytes, so that what was fetched once need not be fetched again."""
    num_connections: int
    """How many objects are best fetched at once."""

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Write the files of `entry` into `folder`, whole or not at all; return the main file.

        Raises what tasks.ports.Store raises: FileNotFoundError, ConnectionError, OSError(EFBIG) above `max_bytes`.
        """
        ...


class Source(FileSource, Protocol):
    """A place that objects come from; it lists them and fetches their files."""

    def listing(self) -> Listing:
        """Return the objects that the configuration asks for and what became of the others."""
        ...


@dataclass(frozen=True)
class Choice:
    """Which uids the configuration asks for."""

    kept: Sequence[str]
    """Sorted."""
    dropped: Sequence[Rejected]
    """The others with the reason, sorted by uid."""
    unmatched: Sequence[str]
    """Patterns that match none, as they are written."""


def choose(uids: Iterable[str], config: CatalogConfig, seed: int) -> Choice:
    """Choose the uids that match `include`, or the first `max_objects` of them by a hash of seed and uid.

    Raises ValueError when nothing matches.
    """
    everything = sorted(uids)
    matching, unmatched = _matching(everything, config.include)
    if not matching:
        patterns = some(config.include)
        raise ValueError(
            f"catalog.include {patterns} matches no object of source {config.source}, whose {len(everything)} objects "
            f"have uids such as {some(everything)}: widen it"
        )
    kept = matching
    if config.max_objects is not None and config.max_objects < len(matching):
        kept = set(sorted(matching, key=lambda uid: share_of(seed, "catalog", uid))[: config.max_objects])
    surplus = f"not among the first {config.max_objects} by uid hash (catalog.max_objects)"
    unwanted = "matches none of catalog.include"
    dropped = [Rejected(uid, surplus if uid in matching else unwanted) for uid in everything if uid not in kept]
    return Choice(sorted(kept), dropped, unmatched)


def some(names: Collection[str], count: int = 3) -> str:
    """Return the first names for a message, and how many more there are."""
    shown = ", ".join(list(names)[:count])
    return f"{shown} and {len(names) - count} more" if len(names) > count else shown


def taken_for_a_number(unknown: Iterable[str], uids: Iterable[str]) -> str:
    """Return a remark on a name in a table that a spreadsheet program made of a uid such as 0001; empty without one."""
    by_value = {value: uid for uid in uids if (value := _value(uid)) is not None}
    for name in unknown:
        value = _value(name)
        if value is not None and (uid := by_value.get(value)):
            return f"; {name} may be {uid}, which a spreadsheet program took for a number: make the column text"
    return ""


def _value(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _matching(uids: Sequence[str], patterns: Sequence[str]) -> tuple[set[str], list[str]]:
    """Return the uids that match any pattern, and the patterns that match none."""
    names = set(uids)
    found: set[str] = set()
    unmatched: list[str] = []
    for pattern in patterns:
        if re.search(r"[*?\[]", pattern):
            matches = re.compile(translate(pattern)).match
            hits = {uid for uid in uids if matches(uid)}
        else:
            hits = {pattern} & names
        found |= hits
        if not hits:
            unmatched.append(pattern)
    return found, unmatched
