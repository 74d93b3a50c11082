"""Stage select: keep what looks good enough, with a reason for every drop, and set some objects aside (sec. 5.1)."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tasks.artifacts.manifest import MANIFEST, Kind, open_manifest, seal
from tasks.artifacts.randomness import share_of
from tasks.artifacts.tables import OBJECTS, Entry, SelectedEntry, Split, read_entries, write_selected
from tasks.config import SelectConfig
from tasks.outcome import Done, Outcome, Rejected
from tasks.ports import Tools
from tasks.sources.source import LIFT_LIMIT


def select_objects(catalog: Path, config: SelectConfig, seed: int, out: Path, tools: Tools) -> None:
    """Write the kept objects of `catalog` with their split to `out/objects.csv`.

    Args:
        catalog: Sealed catalog.
        config: The section `select`.
        seed: Decides which objects are kept where more than `max_objects` are good enough.
        out: Becomes the sealed folder of selected objects.
        tools: Of the stage.

    Raises ValueError when nothing is kept.
    """
    source = open_manifest(catalog, Kind.CATALOG)
    entries = read_entries(catalog / OBJECTS)
    reasons = _reasons(entries, config, seed)
    kept = [entry for entry in entries if entry.uid not in reasons]
    if not kept:
        raise ValueError(
            f"select keeps none of {len(entries)} objects: {next(iter(reasons.values()), 'the catalog is empty')}; "
            f"lower select.min_score {config.min_score} or set select.missing_score: keep"
        )
    splits = split_objects([entry.uid for entry in kept], config.val_share)
    num_val = sum(split == "val" for split in splits.values())
    tools.progress.note(f"select: kept {len(kept)} of {len(entries)} objects, {num_val} of them for validation")
    surplus = sum("select.max_objects" in reason for reason in reasons.values())
    if surplus:
        tools.progress.note(
            f"select: select.max_objects {config.max_objects} drops {surplus} objects that are good enough; to keep "
            f"them all: {LIFT_LIMIT.format('select.max_objects')}"
        )
    tools.tracker.metrics({"kept": len(kept), "rejected": len(reasons), "val": num_val})
    outcomes: list[Outcome] = [Rejected(uid, reason) for uid, reason in reasons.items()]
    outcomes += [Done(entry.uid, {"score": entry.score, "split": splits[entry.uid]}) for entry in kept]
    (out / MANIFEST).unlink(missing_ok=True)
    write_selected(out / OBJECTS, [SelectedEntry(**asdict(entry), split=splits[entry.uid]) for entry in kept])
    inputs = {"catalog": source.fingerprint, "seed": str(seed)}
    seal(out, Kind.SELECTED, config=config, inputs=inputs, outcomes=outcomes)


def split_objects(uids: Sequence[str], val_share: float) -> dict[str, Split]:
    """Assign each uid to train or val by its hash alone, so that neither seed nor other objects move it.

    The exception: at least one is for training and, if `val_share` > 0 and there are two, at least one for validation.
    """
    by_hash = sorted(uids, key=lambda uid: share_of("split", uid))
    num_val = sum(share_of("split", uid) < val_share for uid in uids)
    if val_share > 0:
        num_val = max(num_val, 1)
    num_val = min(num_val, len(uids) - 1)
    return {uid: "val" if rank < num_val else "train" for rank, uid in enumerate(by_hash)}


def _reasons(entries: Sequence[Entry], config: SelectConfig, seed: int) -> dict[str, str]:
    """Return the reason for each object that is dropped."""
    reasons = {entry.uid: reason for entry in entries if (reason := _unfit(entry, config))}
    fit = sorted(
        (entry for entry in entries if entry.uid not in reasons), key=lambda entry: share_of(seed, "select", entry.uid)
    )
    procedural = [entry for entry in fit if entry.source == "procedural"]
    if config.max_procedural is not None:
        surplus = f"not among the first {config.max_procedural} by uid hash (select.max_procedural)"
        reasons |= {entry.uid: surplus for entry in procedural[config.max_procedural :]}
    if config.max_objects is not None:
        surplus = f"not among the first {config.max_objects} by uid hash (select.max_objects)"
        left = [entry for entry in fit if entry.uid not in reasons]
        reasons |= {entry.uid: surplus for entry in left[config.max_objects :]}
    return reasons


def _unfit(entry: Entry, config: SelectConfig) -> str | None:
    if entry.score is None:
        return "no score" if config.missing_score == "reject" else None
    return f"score {entry.score} < {config.min_score}" if entry.score < config.min_score else None
