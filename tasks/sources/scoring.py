"""Puts the scores of tables into a catalog, matched by uid alone, and counts what was matched."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.artifacts.catalog_columns import CATALOG, FLAGS, QUALITY, SCORE_SOURCE
from tasks.sources.score_tables import UID, ScoreTable

BINS = 20
"""Bins of the histogram of aesthetic scores from 0 to 10; quality has one for each class."""
CLAIM = pa.schema([("uid", pa.string()), ("table", pa.string()), ("column", pa.string()), ("value", pa.float64())])
"""What each table says of each object, whether it was used or not."""


@dataclass(frozen=True)
class Match:
    """What of one table the catalog has taken."""

    table: ScoreTable
    known: pa.Table
    """The rows of the table that are of objects of the catalog."""
    unknown: Sequence[str]
    """Uids that no object of the source has."""
    num_used: int
    """Objects whose score, or quality, is this table's."""

    def facts(self) -> dict[str, Any]:
        """Return the counts as a manifest has them; `histogram` counts the objects of the catalog."""
        return {
            "table": self.table.name,
            "rows": len(self.table.table) + len(self.table.contradicted),
            "matched": len(self.known),
            "used": self.num_used,
            "without_object": len(self.unknown),
            "contradicted": len(self.table.contradicted),
            "column": self.table.value,
            "histogram": histogram(self.known[self.table.value], self.table.value),
        }

    def claims(self) -> pa.Table:
        """Return what the table says of the catalog's objects."""
        count = len(self.known)
        names = [pa.array([text] * count, pa.string()) for text in (self.table.name, self.table.value)]
        return pa.Table.from_arrays(
            [self.known[UID], *names, self.known[self.table.value].cast(pa.float64())], schema=CLAIM
        )


def match_scores(
    catalog: pa.Table, tables: Sequence[ScoreTable], passed_over: Collection[str]
) -> tuple[pa.Table, list[Match]]:
    """Return the catalog with the scores, qualities and traits of `tables`, and what each table contributed.

    An object has the value of the first table that says it, and no score of its source. `passed_over` are uids that the
    source has beside the catalog's.
    """
    names = (QUALITY, *FLAGS[:-1])
    columns: dict[str, Any] = {name: catalog[name] for name in names}
    columns["score"] = pa.nulls(len(catalog), pa.float64())
    columns[SCORE_SOURCE] = pa.nulls(len(catalog), pa.string())
    matches = []
    for table in tables:
        rows = pc.index_in(catalog[UID], value_set=table.table[UID])
        is_new = pc.and_(pc.is_null(columns[table.value]), pc.is_valid(rows))
        if table.value == "score":
            columns[SCORE_SOURCE] = pc.if_else(is_new, table.name, columns[SCORE_SOURCE])
        for name in table.table.column_names:
            if name != UID:
                columns[name] = pc.coalesce(columns[name], table.table[name].take(rows))
        is_known = pc.is_in(table.table[UID], value_set=catalog[UID])
        others = table.table[UID].filter(pc.invert(is_known)).to_pylist()
        matches.append(
            Match(
                table,
                table.table.filter(is_known),
                [uid for uid in others if uid not in passed_over],
                pc.sum(is_new).as_py() or 0,
            )
        )
    for name, values in columns.items():
        catalog = catalog.set_column(CATALOG.get_field_index(name), CATALOG.field(name), values)
    return catalog, matches


def own_facts(catalog: pa.Table, source: str) -> dict[str, Any]:
    """Return the counts of scores that the source itself gives, as `Match.facts` does."""
    count = len(catalog) - catalog["score"].null_count
    return {
        "table": source,
        **dict.fromkeys(("rows", "matched", "used"), count),
        **dict.fromkeys(("without_object", "contradicted"), 0),
        "column": "score",
        "histogram": histogram(catalog["score"], "score"),
    }


def claims_of(matches: Sequence[Match]) -> pa.Table:
    """Return what all tables say of the catalog's objects, table by table."""
    return pa.concat_tables([match.claims() for match in matches])


def histogram(values: pa.ChunkedArray, column: str) -> Mapping[str, list[float]]:
    """Return edges and counts over known values; scores beyond 0 to 10 are counted in the outer bins."""
    edges = np.arange(5) - 0.5 if column == QUALITY else np.linspace(0, 10, BINS + 1)
    known = values.drop_null().to_numpy()
    counts, _ = np.histogram(np.clip(known, edges[0], edges[-1]), edges)
    return {"edges": edges.tolist(), "counts": counts.tolist()}
