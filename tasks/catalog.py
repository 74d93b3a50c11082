"""Stage catalog: which objects there are, and how good each looks (sec. 5.1). Downloads no object."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from tasks.artifacts.catalog_columns import CATALOG, SCORE_SOURCE
from tasks.artifacts.content import sha256_of
from tasks.artifacts.ledger_table import LEDGER_TABLE, LedgerTable
from tasks.artifacts.licences import count_licences
from tasks.artifacts.manifest import MANIFEST, Kind, seal
from tasks.artifacts.parquet import write_parquet
from tasks.artifacts.tables import CLAIMS, OBJECTS, write_table
from tasks.config import CatalogConfig
from tasks.ports import Tools
from tasks.sources.registry import open_source
from tasks.sources.score_tables import load_score_table
from tasks.sources.scoring import Match, claims_of, match_scores, own_facts
from tasks.sources.source import LIFT_LIMIT, Listing, some, taken_for_a_number

MAX_EXAMPLES = 20
MAX_REASONS = 5


def make_catalog(config: CatalogConfig, seed: int, out: Path, tools: Tools) -> None:
    """List the objects of the source in `out/objects.parquet`, and what it holds besides, with reasons, in the ledger.

    Args:
        config: The section `catalog`; tables that its `scores` names replace the scores of the source.
        seed: Decides which objects are listed where there are more than `max_objects`.
        out: Becomes the sealed catalog. With several tables of scores it has `scores.parquet`: what each says.
        tools: Of the stage.

    Raises ValueError for a source or table that cannot be used, OSError for one that cannot be reached.
    """
    listing = _with_provenance(open_source(config, seed, tools).listing(), config.source)
    matches: list[Match] = []
    if config.score_tables:
        listing, matches = _scored(listing, config.score_tables, tools)
    table = listing.table
    scored = len(table) - table["score"].null_count
    tools.progress.note(f"catalog: {len(table)} objects from source {config.source}, {scored} with a score")
    _say_what_is_left_out(listing, config, out, tools)
    _say_what_was_matched(listing, matches, tools)
    tools.tracker.metrics({"objects": len(table), "scored": scored})
    (out / MANIFEST).unlink(missing_ok=True)
    (out / CLAIMS).unlink(missing_ok=True)
    write_table(out / OBJECTS, table)
    if len(matches) > 1:
        write_parquet(out / CLAIMS, claims_of(matches))
    facts: dict[str, Any] = {"objects": len(table), "scored": scored, "licences": count_licences(table["license"])}
    facts |= _unknown(listing)
    if matches:
        facts["scores"] = [{**match.facts(), **_examples(match)} for match in matches]
    elif scored:
        facts["scores"] = [own_facts(table, config.source)]
    ledger = LedgerTable.of_rows(table["uid"], listing.turned_away)
    inputs = {"seed": str(seed), "objects": sha256_of(out / OBJECTS)}
    seal(out, Kind.CATALOG, config=config, inputs=inputs, outcomes=ledger, facts=facts)


def _with_provenance(listing: Listing, source: str) -> Listing:
    """Say of each score that the source itself gave it."""
    table = listing.table
    given = pc.if_else(pc.is_valid(table["score"]), source, None)
    index = CATALOG.get_field_index(SCORE_SOURCE)
    return replace(listing, table=table.set_column(index, CATALOG.field(index), given))


def _scored(listing: Listing, locations: Sequence[str], tools: Tools) -> tuple[Listing, list[Match]]:
    """Replace the scores by those of tables, the first that has one."""
    tables = [load_score_table(location, tools) for location in locations]
    counted = Counter(table.name for table in tables)
    if max(counted.values()) > 1:
        twice = counted.most_common(1)[0][0]
        raise ValueError(f"catalog.scores names two tables {twice}, which no row could tell apart: rename one")
    catalog, matches = match_scores(listing.table, tables, listing.passed_over)
    for location, match in zip(locations, matches, strict=True):
        count = len(match.table.table)
        if len(match.unknown) == count:
            raise ValueError(
                f"{location} scores {count} objects, none of them in the catalog (such as "
                f"{listing.table['uid'][0].as_py()}): catalog.scores must belong to catalog.source"
            )
    return replace(listing, table=catalog), matches


def _say_what_is_left_out(listing: Listing, config: CatalogConfig, out: Path, tools: Tools) -> None:
    note = tools.progress.note
    for reason, count in Counter(row.reason for row in listing.turned_away).most_common(MAX_REASONS):
        note(f"catalog: left out {count}: {reason}")
    if listing.turned_away:
        note(f"catalog: {len(listing.turned_away)} are left out, each with its reason in {out / LEDGER_TABLE}")
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
        _warn_of_unknown(listing.unknown_scores, listing, tools)


def _say_what_was_matched(listing: Listing, matches: Sequence[Match], tools: Tools) -> None:
    for match in matches:
        name, column = match.table.name, match.table.value
        tools.progress.note(f"catalog: {name} has the {column} of {len(match.known)} objects, {match.num_used} used")
        if match.unknown:
            _warn_of_unknown(match.unknown, listing, tools)
        if match.table.contradicted:
            tools.progress.note(
                f"warning: {name} says two things of {len(match.table.contradicted)} objects, which count as not "
                f"scored by it: {some(match.table.contradicted)}"
            )


def _warn_of_unknown(names: Sequence[str], listing: Listing, tools: Tools) -> None:
    remark = taken_for_a_number(names, listing.table["uid"].to_pylist())
    tools.progress.note(f"warning: {len(names)} scored uids are no objects: {some(names)}{remark}")


def _unknown(listing: Listing) -> Mapping[str, Any]:
    """Return what was asked for and not found, as the manifest's facts."""
    missing = {"include_without_object": listing.unmatched, "scores_without_object": listing.unknown_scores}
    return {name: _counted(names) for name, names in missing.items() if names}


def _examples(match: Match) -> Mapping[str, Any]:
    lists = {"without_object": match.unknown, "contradicted": match.table.contradicted}
    return {f"{name}_examples": list(names[:MAX_EXAMPLES]) for name, names in lists.items() if names}


def _counted(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "examples": list(names[:MAX_EXAMPLES])}
