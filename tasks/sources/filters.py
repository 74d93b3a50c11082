"""The rules by which the section `select` drops objects of a catalog, each with a reason for each object."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

from tasks.artifacts.catalog_columns import FLAGS
from tasks.artifacts.licences import LICENCES, licence_name, licence_names
from tasks.config import Measure, SelectConfig
from tasks.sources.object_list import ObjectList

RULE_COLUMNS = ("uid", "source", "license", "lvis_category", "score", *FLAGS, *get_args(Measure))
"""Columns of a catalog that rules look at: without titles and tags, which would be most of its memory."""


@dataclass(frozen=True)
class Rule:
    """One rule, applied to all objects of a catalog."""

    name: str
    """Field of the section `select` under which its drops are counted."""
    drops: pa.ChunkedArray
    """Of each object whether the rule drops it."""
    reasons: pa.ChunkedArray | str
    """Of each object, or of all, the reason, where it is dropped."""


@dataclass(frozen=True)
class Drops:
    """Which objects are dropped."""

    reasons: pa.ChunkedArray
    """Of each object the reason; null: it stays."""
    counts: Mapping[str, int]
    """Number of objects that each rule drops, of those that no rule before it does; without rules that drop none."""

    @classmethod
    def none(cls, count: int) -> "Drops":
        """Return that all of `count` objects stay."""
        return cls(pa.chunked_array([pa.nulls(count, pa.string())]), {})

    @property
    def stay(self) -> pa.ChunkedArray:
        """Of each object whether it is not dropped."""
        return pc.is_null(self.reasons)

    def and_by(self, rule: Rule) -> "Drops":
        """Apply one more rule to the objects that are left."""
        drops = pc.and_(self.stay, rule.drops)
        count = pc.sum(drops).as_py() or 0
        reasons = pc.if_else(drops, rule.reasons, self.reasons)
        return Drops(
            reasons, {**self.counts, rule.name: self.counts.get(rule.name, 0) + count} if count else self.counts
        )


def rules_of(table: pa.Table, config: SelectConfig, left_out: ObjectList | None) -> Iterator[Rule]:
    """Yield the rules of the section `select` but for its limits on the number, in the order in which they apply.

    Raises ValueError for a licence that neither is known nor any object has.
    """
    if left_out is not None:
        is_named = pc.is_in(table["uid"], value_set=left_out.uids)
        yield Rule("leave_out", is_named, "named in the list select.leave_out")
    if config.licences is not None:
        yield from _licences(table, config.licences, config)
    if config.lvis_only:
        yield Rule("lvis_only", pc.is_null(table["lvis_category"]), "in no LVIS category (select.lvis_only)")
    yield from _flags(table, config)
    yield from _between(table, config)
    if config.missing_score == "reject":
        yield Rule("missing_score", pc.is_null(table["score"]), "no score")
    is_low = pc.less(table["score"], config.min_score).fill_null(False)
    yield Rule("min_score", is_low, _joined("score ", table["score"], f" < {config.min_score:g}"))


def tested_rule(table: pa.Table, uids: Collection[str]) -> Rule:
    """Return the rule that drops objects with the name of a test object, whose views would be in training and test."""
    is_tested = pc.is_in(table["uid"], value_set=pa.array(sorted(uids), pa.string()))
    return Rule("test_objects", is_tested, "a test object of render_test.folder or gso_eval.folder has this name")


def _licences(table: pa.Table, wanted: Collection[str], config: SelectConfig) -> Iterator[Rule]:
    names = licence_names(table["license"])
    allowed = {licence_name(text) for text in wanted}
    present = set(pc.unique(names).to_pylist()) - {""}
    if unknown := sorted(allowed - LICENCES.keys() - present):
        raise ValueError(
            f"select.licences names {unknown[0]}, which is no known licence and no object's; the catalog has "
            f"{', '.join(sorted(present)) or 'no licences'}, and known are {', '.join(LICENCES)}"
        )
    is_unknown = pc.equal(names, "")
    if config.missing_value == "reject":
        yield Rule("licences", is_unknown, "the licence is unknown (select.licences)")
    is_other = pc.and_(pc.invert(is_unknown), pc.invert(pc.is_in(names, value_set=pa.array(sorted(allowed)))))
    yield Rule("licences", is_other, _joined("licence ", names, " (select.licences)"))


def _flags(table: pa.Table, config: SelectConfig) -> Iterator[Rule]:
    for flag, wanted in (config.flags or {}).items():
        yield from _unknown("flags", table, flag, config)
        is_other = pc.not_equal(table[flag], wanted).fill_null(False)
        yield Rule("flags", is_other, f"{flag} is {str(not wanted).lower()} (select.flags)")


def _between(table: pa.Table, config: SelectConfig) -> Iterator[Rule]:
    for measure, (least, most) in (config.between or {}).items():
        yield from _unknown("between", table, measure, config)
        for bound, compare, sign in ((least, pc.less, "<"), (most, pc.greater, ">")):
            if bound is not None:
                is_beyond = compare(table[measure], bound).fill_null(False)
                reasons = _joined(f"{measure} ", table[measure], f" {sign} {bound:.15g} (select.between)")
                yield Rule("between", is_beyond, reasons)


def _unknown(name: str, table: pa.Table, column: str, config: SelectConfig) -> Iterator[Rule]:
    if config.missing_value == "reject":
        yield Rule(name, pc.is_null(table[column]), f"{column} is unknown (select.{name})")


def _joined(before: str, values: pa.ChunkedArray, after: str) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(before, values.cast(pa.string()), after, "")
