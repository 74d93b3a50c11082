"""A folder without its manifest does not exist. It is written last, by rename, and says what made the folder."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tasks.artifacts.atomic import read_json, write_bytes, write_json
from tasks.artifacts.ledger_table import LEDGER_TABLE, LedgerTable
from tasks.outcome import Done, Failed, Outcome, Rejected

MANIFEST = "manifest.json"
LEDGER = "ledger.jsonl"
METRICS = "metrics.json"
HISTORY = "history.csv"
MAX_FAILED_SHARE = 0.2
"""Of the items of a stage whose section of the parameters has no limit of its own."""


class Kind(StrEnum):
    """What a sealed folder holds; one kind for each sort of artifact."""

    CATALOG = "catalog"
    SELECTED = "selected"
    OBJECTS = "objects"
    PLACEMENTS = "placements"
    VIEWS = "views"
    VALIDATION = "validation"
    MASK_VAE = "mask_vae"
    LATENTS = "latents"
    DIFFUSION_MODEL = "diffusion_model"
    SAMPLES = "samples"
    MESHES = "meshes"
    BASELINES = "baselines"
    REPORT = "report"


@dataclass(frozen=True)
class Manifest:
    """What a folder is: its kind, what it was made with and from, and how many items it holds."""

    kind: str
    fingerprint: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def fingerprint(*parts: BaseModel | Mapping[str, Any] | str | int) -> str:
    """Return a stable name (32 hex digits) for a configuration and its inputs.

    Anything that does not turn into JSON in one way only is refused with a TypeError,
    because a silent fallback would split one recipe into many.
    """
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, allow_nan=False).encode()).hexdigest()[:32]


def seal(
    folder: Path,
    kind: Kind,
    *,
    config: BaseModel,
    inputs: Mapping[str, str],
    outcomes: Iterable[Outcome] | LedgerTable = (),
    facts: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write the ledger, then the manifest: after this the folder exists for other stages.

    Args:
        folder: What the stage made.
        kind: What the folder holds.
        config: What it was made with.
        inputs: Fingerprints of what it was made from, by name.
        outcomes: What became of each item; the ledger sorts them by uid. Of many objects without facts, as a table.
        facts: What else later stages and the report want to know; they are no part of the fingerprint.

    Returns the manifest.
    """
    if isinstance(outcomes, LedgerTable):
        (folder / LEDGER).unlink(missing_ok=True)
        outcomes.write(folder)
        counts = outcomes.counts
    else:
        rows = sorted(outcomes, key=lambda outcome: outcome.uid)
        (folder / LEDGER_TABLE).unlink(missing_ok=True)
        write_ledger(folder, rows)
        counts = {status: sum(row.status == status for row in rows) for status in ("done", "rejected", "failed")}
    manifest = Manifest(
        kind=kind,
        fingerprint=fingerprint(kind, config, dict(inputs)),
        config=config.model_dump(mode="json"),
        inputs=dict(inputs),
        counts=counts,
        facts=dict(facts or {}),
    )
    write_json(folder / MANIFEST, asdict(manifest))
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a sealed folder of any kind.

    Raises ValueError when the folder is absent or unsealed.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise ValueError(f"{folder} has no {MANIFEST}: the stage that makes it did not finish; run `dvc repro`")
    return Manifest(**read_json(path))


def open_manifest(folder: Path, kind: Kind) -> Manifest:
    """Read the manifest of a sealed folder.

    Raises ValueError when the folder is absent, unsealed or of another kind.
    """
    manifest = read_manifest(folder)
    if manifest.kind != kind:
        raise ValueError(f"{folder} holds {manifest.kind!r}, expected {str(kind)!r}")
    return manifest


def write_ledger(folder: Path, outcomes: Iterable[Outcome]) -> None:
    """Write the ledger, one JSON line per item."""
    lines = [json.dumps(as_row(outcome), sort_keys=True, allow_nan=False) for outcome in outcomes]
    write_bytes(folder / LEDGER, "".join(line + "\n" for line in lines).encode())


def read_ledger(folder: Path) -> list[Outcome]:
    """Return the outcomes of a sealed folder, sorted by uid."""
    return list(iterate_ledger(folder))


def iterate_ledger(folder: Path) -> Iterator[Outcome]:
    """Yield the outcomes of a sealed folder, sorted by uid, without holding all of them."""
    if (folder / LEDGER_TABLE).exists():
        yield from LedgerTable.read(folder).rows()
        return
    with (folder / LEDGER).open(encoding="utf-8") as lines:
        for line in lines:
            yield parse_outcome(json.loads(line))


def as_row(outcome: Outcome) -> dict[str, Any]:
    """Return the ledger row of an outcome; `asdict` would copy the facts, which was most of the time."""
    return {**vars(outcome), "status": outcome.status}


def parse_outcome(row: dict[str, Any]) -> Outcome:
    """Turn one ledger row back into an outcome."""
    kinds: dict[str, type[Done] | type[Rejected] | type[Failed]] = {
        "done": Done,
        "rejected": Rejected,
        "failed": Failed,
    }
    return kinds[row.pop("status")](**row)


def require_some(stage: str, outcomes: Sequence[Outcome]) -> list[Done]:
    """Return the items that were made.

    Raises RuntimeError when there are none: an empty result would only fail later, with a stranger message.
    """
    done = [row for row in outcomes if isinstance(row, Done)]
    if not done:
        first = next((f"{row.uid}: {getattr(row, 'reason', '') or getattr(row, 'error', '')}" for row in outcomes), "-")
        raise RuntimeError(f"{stage}: none of {len(outcomes)} objects is left. First: {first}")
    return done


def check_failed_share(stage: str, outcomes: Iterable[Outcome], limit: float) -> None:
    """Raise RuntimeError when more than `limit` (0 to 1) of the items failed: then the stage itself is broken."""
    rows = list(outcomes)
    failed = [row for row in rows if isinstance(row, Failed)]
    if rows and len(failed) / len(rows) > limit:
        raise RuntimeError(
            f"{stage}: {len(failed)} of {len(rows)} items failed, more than max_failed_share {limit:.0%}. "
            f"First: {failed[0].uid}: {failed[0].error}"
        )
