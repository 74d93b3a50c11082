"""Stage catalog: which objects there are, and how good each looks (sec. 5.1). Downloads no object."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import LEDGER, MANIFEST, Kind, seal
from tasks.artifacts.tables import OBJECTS, write_entries
from tasks.config import CatalogConfig
from tasks.outcome import Done, Outcome
from tasks.ports import Tools
from tasks.sources.aesthetic_scores import load_scores
from tasks.sources.registry import open_source
from tasks.sources.source import LIFT_LIMIT, Listing, some, taken_for_a_number

MAX_EXAMPLES = 20
MAX_REASONS = 5


def make_catalog(config: CatalogConfig, seed: int, out: Path, tools: Tools) -> None:
    """List the objects of the source in `out/objects.csv`, and what it holds besides, with the reason, in the ledger.

    Args:
        config: The section `catalog`; a table that its `scores` names replaces the scores of the source.
        seed: Decides which objects are listed where there are more than `max_objects`.
        out: Becomes the sealed catalog.
        tools: Of the stage.

    Raises ValueError for a source or table that cannot be used, OSError for one that cannot be reached.
    """
    listing = open_source(config, seed, tools).listing()
    if config.scores is not None:
        listing = _scored(listing, config.scores, tools)
    entries = listing.entries
    scored = sum(entry.score is not None for entry in entries)
    tools.progress.note(f"catalog: {len(entries)} objects from source {config.source}, {scored} with a score")
    _say_what_is_left_out(listing, config, out, tools)
    tools.tracker.metrics({"objects": len(entries), "scored": scored})
    (out / MANIFEST).unlink(missing_ok=True)
    write_entries(out / OBJECTS, entries)
    content = sha256_of(out / OBJECTS)
    facts = {"objects": len(entries), "scored": scored, **_unknown(listing)}
    outcomes: list[Outcome] = [*(Done(entry.uid) for entry in entries), *listing.turned_away]
    inputs = {"seed": str(seed), "objects": content}
    seal(out, Kind.CATALOG, config=config, inputs=inputs, outcomes=outcomes, facts=facts)


def _scored(listing: Listing, table: str, tools: Tools) -> Listing:
    """Replace the scores by those of a table."""
    scores = load_scores(str(Path(table).expanduser()) if table.startswith("~") else table, tools)
    known = listing.known
    unknown = [uid for uid in scores if uid not in known]
    if len(unknown) == len(scores):
        raise ValueError(
            f"{table} scores {len(scores)} objects, none of them in the catalog (such as {listing.entries[0].uid}): "
            "catalog.scores must belong to catalog.source"
        )
    entries = [replace(entry, score=scores.get(entry.uid)) for entry in listing.entries]
    return replace(listing, entries=entries, unknown_scores=unknown)


def _say_what_is_left_out(listing: Listing, config: CatalogConfig, out: Path, tools: Tools) -> None:
    note = tools.progress.note
    for reason, count in Counter(row.reason for row in listing.turned_away).most_common(MAX_REASONS):
        note(f"catalog: left out {count}: {reason}")
    if listing.turned_away:
        note(f"catalog: {len(listing.turned_away)} are left out, each with its reason in {out / LEDGER}")
    if listing.others:
        note(f"catalog: {len(listing.others)} other objects of source {config.source} are not asked for")
    if any("catalog.max_objects" in row.reason for row in listing.turned_away):
        note(f"catalog: to list them all: {LIFT_LIMIT.format('catalog.max_objects')}")
    if listing.unmatched:
        total = len(config.include)
        note(
            f"warning: {len(listing.unmatched)} of {total} patterns of catalog.include match no object: "
            f"{some(listing.unmatched)}"
        )
    if listing.unknown_scores:
        remark = taken_for_a_number(listing.unknown_scores, (entry.uid for entry in listing.entries))
        note(
            f"warning: {len(listing.unknown_scores)} scored uids are no objects: {some(listing.unknown_scores)}{remark}"
        )


def _unknown(listing: Listing) -> Mapping[str, Any]:
    """Return what was asked for and not found, as the manifest's facts."""
    missing = {"include_without_object": listing.unmatched, "scores_without_object": listing.unknown_scores}
    return {name: _counted(names) for name, names in missing.items() if names}


def _counted(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "examples": list(names[:MAX_EXAMPLES])}
