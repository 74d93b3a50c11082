"""Stage select: keep what looks good enough, with a reason for every drop, and set some objects aside (sec. 5.1)."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.artifacts.catalog_columns import SELECTED
from tasks.artifacts.ledger_table import LedgerTable
from tasks.artifacts.licences import count_licences
from tasks.artifacts.manifest import MANIFEST, Kind, fingerprint, open_manifest, seal
from tasks.artifacts.randomness import share_of
from tasks.artifacts.tables import CLAIMS, OBJECTS, Split, read_columns, read_where, write_table
from tasks.config import GsoEvalConfig, RenderTestConfig, SelectConfig
from tasks.ports import Tools
from tasks.sources.agreement import agreements, bounds_of
from tasks.sources.filters import RULE_COLUMNS, Drops, Rule, rules_of, tested_rule
from tasks.sources.object_list import ObjectList, load_object_list
from tasks.sources.source import LIFT_LIMIT, some
from tasks.sources.tested_objects import tested_uids


def select_objects(
    catalog: Path,
    config: SelectConfig,
    seed: int,
    out: Path,
    tools: Tools,
    *,
    render_test: RenderTestConfig | None = None,
    gso_eval: GsoEvalConfig | None = None,
) -> None:
    """Write the kept objects of `catalog` with their split to `out/objects.parquet`.

    Args:
        catalog: Sealed catalog.
        config: The section `select`.
        seed: Decides which objects are kept where more than `max_objects` are good enough.
        out: Becomes the sealed folder of selected objects.
        tools: Of the stage.
        render_test: The section `render_test`; with `gso_eval` it says which objects are tested on and so dropped here.
        gso_eval: The section `gso_eval`.

    Raises ValueError when nothing is kept, and for a list or licence that does not fit the catalog.
    """
    source = open_manifest(catalog, Kind.CATALOG)
    lists = {
        name: load_object_list(location, tools)
        for name, location in (("list", config.list), ("leave_out", config.leave_out))
        if location is not None
    }
    tested = tested_uids(render_test, gso_eval)
    table = read_columns(catalog / OBJECTS, RULE_COLUMNS)
    drops = _drops(table, config, seed, lists, tested, tools)
    kept = read_where(catalog / OBJECTS, drops.stay)
    if not len(kept):
        rules = ", ".join(f"{name} drops {count}" for name, count in drops.counts.items())
        reason = drops.reasons[0].as_py() if len(table) else "the catalog is empty"
        raise ValueError(f"select keeps none of {len(table)} objects ({reason}): widen its rules, of which {rules}")
    splits = _splits(kept, config, lists.get("list"))
    _tell(table, kept, splits, drops, config, tools)
    (out / MANIFEST).unlink(missing_ok=True)
    write_table(out / OBJECTS, kept.append_column(SELECTED.field("split"), splits))
    inputs = {"catalog": source.fingerprint, "seed": str(seed), **{name: one.content for name, one in lists.items()}}
    if tested:
        inputs["tested"] = fingerprint(*sorted(tested))
    ledger = LedgerTable.of(table["uid"], drops.reasons)
    seal(out, Kind.SELECTED, config=config, inputs=inputs, outcomes=ledger, facts=_facts(catalog, kept, drops, config))


def _facts(catalog: Path, kept: pa.Table, drops: Drops, config: SelectConfig) -> dict[str, Any]:
    """Return what the report wants to know: drops by rule, licences, and how the tables of scores agree."""
    facts: dict[str, Any] = {"dropped": dict(drops.counts), "licences": count_licences(kept["license"])}
    if (catalog / CLAIMS).exists():
        bounds = bounds_of(config.min_score, (config.between or {}).get("quality"))
        claims = pq.read_table(catalog / CLAIMS, read_dictionary=["table", "column"])
        facts["agreement"] = [row.as_json() for row in agreements(claims, bounds)]
    return facts


def split_objects(uids: Sequence[str], val_share: float) -> dict[str, Split]:
    """Assign each uid to train or val by its hash alone, so that neither seed nor other objects move it.

    The exception: at least one is for training and, if `val_share` > 0 and there are two, at least one for validation.
    """
    shares = {uid: share_of("split", uid) for uid in uids}
    num_val = sum(share < val_share for share in shares.values())
    if val_share > 0:
        num_val = max(num_val, 1)
    num_val = min(num_val, len(uids) - 1)
    by_hash = sorted(shares, key=shares.__getitem__)
    return {uid: "val" if rank < num_val else "train" for rank, uid in enumerate(by_hash)}


def _drops(
    table: pa.Table, config: SelectConfig, seed: int, lists: Mapping[str, ObjectList], tested: Set[str], tools: Tools
) -> Drops:
    """Apply the rule for test objects, then the list, or the other rules and the limits on the number."""
    drops = Drops.none(len(table)).and_by(tested_rule(table, tested))
    if "list" in lists:
        return drops.and_by(_list_rule(table, lists["list"]))
    left_out = lists.get("leave_out")
    if left_out is not None and (unknown := left_out.outside(table["uid"])):
        tools.progress.note(
            f"warning: {len(unknown)} of {len(left_out.uids)} objects of select.leave_out are not in the catalog: "
            f"{some(unknown)}"
        )
    for rule in rules_of(table, config, left_out):
        drops = drops.and_by(rule)
    return _limit(table, drops, config, seed)


def _list_rule(table: pa.Table, listed: ObjectList) -> Rule:
    if unknown := listed.outside(table["uid"]):
        raise ValueError(
            f"select.list {listed.name} names {len(unknown)} of its {len(listed.uids)} objects that are not in the "
            f"catalog, such as {some(unknown)}: make the catalog hold them, or take them out of the list"
        )
    is_other = pc.invert(pc.is_in(table["uid"], value_set=listed.uids))
    return Rule("list", is_other, "not in the list select.list")


def _limit(table: pa.Table, drops: Drops, config: SelectConfig, seed: int) -> Drops:
    """Drop what is beyond the limits on the number, first of procedural objects, then of all."""
    is_procedural = pc.equal(table["source"], "procedural")
    for name, limit in (("max_procedural", config.max_procedural), ("max_objects", config.max_objects)):
        counted = pc.and_(drops.stay, is_procedural) if name == "max_procedural" else drops.stay
        uids = table["uid"].filter(counted).to_pylist()
        if limit is None or len(uids) <= limit:
            continue
        by_hash = sorted(uids, key=lambda uid: share_of(seed, "select", uid))
        is_surplus = pc.is_in(table["uid"], value_set=pa.array(by_hash[limit:], pa.string()))
        drops = drops.and_by(Rule(name, is_surplus, f"not among the first {limit} by uid hash (select.{name})"))
    return drops


def _splits(kept: pa.Table, config: SelectConfig, listed: ObjectList | None) -> pa.Array:
    """Return the split of each kept object: the list's, or that of its hash."""
    if listed is not None and listed.splits is not None:
        splits = listed.splits.take(pc.index_in(kept["uid"], value_set=listed.uids).combine_chunks())
        if not pc.any(pc.equal(splits, "train")).as_py():
            raise ValueError(f"select.list {listed.name} has no object with split train: nothing could be trained on")
        return splits
    uids = kept["uid"].to_pylist()
    by_uid = split_objects(uids, config.val_share)
    return pa.array([by_uid[uid] for uid in uids], pa.string())


def _tell(table: pa.Table, kept: pa.Table, splits: pa.Array, drops: Drops, config: SelectConfig, tools: Tools) -> None:
    num_val = pc.sum(pc.equal(splits, "val")).as_py()
    note = tools.progress.note
    note(f"select: kept {len(kept)} of {len(table)} objects, {num_val} of them for validation")
    for name, count in drops.counts.items():
        note(f"select: select.{name} drops {count}" if name != "test_objects" else f"select: {count} are test objects")
    if surplus := drops.counts.get("max_objects"):
        note(
            f"select: select.max_objects {config.max_objects} drops {surplus} objects that are good enough; to keep "
            f"them all: {LIFT_LIMIT.format('select.max_objects')}"
        )
    tools.tracker.metrics({"kept": len(kept), "rejected": len(table) - len(kept), "val": num_val})
