"""Resume is the same command again: what one run finished, the next one finds.

Unfinished work lies outside the stage's output, which DVC deletes before each run. Items are keyed by their own content
in a folder named after the stage's configuration, so adding objects makes only the new ones.
"""

import errno
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from tasks.artifacts.atomic import hard_link, read_json, with_filename, write_json
from tasks.artifacts.manifest import as_row, fingerprint, parse_outcome
from tasks.artifacts.released_shards import ReleasedShards
from tasks.artifacts.shard_index import INDEX, ShardIndex
from tasks.artifacts.shards import Layout, Members, ShardReader, lay_out, read_item
from tasks.outcome import Done, Failed, Outcome
from tasks.ports import Job, Tools

SEALED = "sealed.json"
SYNC_SECONDS = 1.0
"""Seconds between two flushes of a journal to disk, at least; what a power cut takes of it is made again."""
MAX_FIRST_FAILURES = 20
"""So many failures from the start end a stage; 180,000 of them would take days to say the same."""


class KeyedJob(Job, Protocol):
    """A job whose result depends on `key` alone, apart from the folder's configuration."""

    @property
    def key(self) -> str:
        """Everything its result depends on."""
        ...


class FinishedItems(Protocol):
    """Knows which items are finished, as an `ItemStore` does."""

    def has(self, uid: str, key: str) -> bool:
        """Whether the item need not be made again."""
        ...


@dataclass
class Journal:
    """A file of outcomes by key, appended as they come.

    Each row begins with its own line break, so that a torn row spoils no other.
    """

    path: Path
    _synced: float = field(default=-math.inf, init=False, repr=False, compare=False)
    """When the file was last flushed to disk, by the monotonic clock."""

    def known(self) -> dict[str, Outcome]:
        """Return every outcome that is final; a failure is not, because it is worth another try."""
        if not self.path.exists():
            return {}
        decided: dict[str, Outcome] = {}
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    continue
                outcome = parse_outcome(row["outcome"])
                if not isinstance(outcome, Failed):
                    decided[row["key"]] = outcome
        return decided

    def append(self, key: str, outcome: Outcome) -> None:
        """Record one outcome, which outlives this process at once.

        To disk the file is flushed with the first outcome that comes `SYNC_SECONDS` after the last flush, and at the
        end: flushing each would let hundreds of workers that measure objects wait for the disk.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"key": key, "outcome": as_row(outcome)}, sort_keys=True)
        with with_filename(self.path), self.path.open("a") as handle:
            handle.write(f"\n{line}\n")
            handle.flush()
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                os.fsync(handle.fileno())
                self._synced = time.monotonic()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        """Flush to disk what was recorded, if anything was."""
        if self.path.exists():
            with with_filename(self.path), self.path.open("a") as handle:
                os.fsync(handle.fileno())


@dataclass(frozen=True)
class ItemStore:
    """Finished items: loose tars while the stage runs, hard links to its sealed shards afterwards (no second copy).

    Where a stage seals with `releasing`, loose items go shard by shard, so that the disk never holds all of them twice.
    """

    folder: Path

    def path(self, key: str) -> Path:
        """Path that a worker writes the item of `key` to."""
        return self.folder / "items" / f"{key}.tar"

    def has(self, uid: str, key: str) -> bool:
        """Whether the item need not be made again."""
        return self.path(key).exists() or self._released.has(uid, key) or self._sealed.keys.get(uid) == key

    def members(self, uid: str, key: str) -> dict[str, bytes]:
        """Read the files of a finished item."""
        if self.path(key).exists():
            return read_item(self.path(key))
        reader = self._released.of(uid, key) or self._sealed.reader
        assert reader is not None, f"{uid} is neither loose nor sealed"
        return {name: reader.read(uid, name) for name in reader.names(uid)}

    def unchanged(self, keys: Mapping[str, str], layout: Layout) -> dict[str, ShardReader]:
        """Return where shards lie that would hold again what they hold, by name.

        They are of the last complete run, or of a later one that was killed while it sealed. One counts that has the
        same items in `layout`, and whose file is as long as the index says.
        """
        sealed, found = self._sealed, {}
        before = _by_shard(sealed.keys, sealed.layout) if sealed.layout else {}
        for shard, items in _by_shard(keys, layout).items():
            if sealed.reader and before.get(shard) == items and _is_whole(sealed.reader, max(items)):
                found[shard] = sealed.reader
            elif released := self._released.find(shard, items):
                found[shard] = released
        return found

    def releasing(self, keys: Mapping[str, str]) -> Callable[[Path, ShardIndex], None]:
        """Return what lets the loose items of a shard go, once it is on the disk, of the items `keys` (uid -> key)."""

        def release(shard: Path, index: ShardIndex) -> None:
            held = {uid: keys[uid] for uid in index.uids}
            self._released.add(shard, index, held)
            for key in held.values():
                self.path(key).unlink(missing_ok=True)

        return release

    def readers(self, keys: Mapping[str, str]) -> dict[str, Callable[[], Members]]:
        """Return a function that reads the item, for each uid of `keys` (uid -> key)."""
        return {uid: partial(self.members, uid, key) for uid, key in keys.items()}

    def lay_out(self, uids: Iterable[str], size: int) -> Layout:
        """Choose a shard for each object; objects of the last complete run stay where they were."""
        return lay_out(uids, size, self._sealed.layout)

    def keep(self, out: Path, keys: Mapping[str, str], layout: Layout) -> None:
        """Remember the sealed folder `out`, which holds the items `keys` (uid -> key); loose items are let go.

        The switch from one sealed set to the next is one rename, so a crash loses neither.
        """
        fresh = self.folder / f"sealed-{fingerprint(dict(keys), asdict(layout))}"
        for path in (*out.glob("shard-*.tar"), out / INDEX):
            hard_link(path, fresh / path.name)
        write_json(self.folder / SEALED, {"folder": fresh.name, "keys": dict(keys), "layout": asdict(layout)})
        self.__dict__.pop("_sealed", None)
        for stale in self.folder.glob("sealed-*"):
            if stale != fresh:
                shutil.rmtree(stale)
        self._released.clear()
        for key in keys.values():
            self.path(key).unlink(missing_ok=True)

    @cached_property
    def _released(self) -> ReleasedShards:
        return ReleasedShards(self.folder / "released")

    @cached_property
    def _sealed(self) -> "Sealed":
        path = self.folder / SEALED
        if not path.exists():
            return Sealed({}, None, None)
        content = read_json(path)
        return Sealed(content["keys"], Layout(**content["layout"]), ShardReader.open(self.folder / content["folder"]))


def _by_shard(keys: Mapping[str, str], layout: Layout) -> dict[str, dict[str, str]]:
    """Return uid and key of the items of each shard."""
    shards: dict[str, dict[str, str]] = {}
    for uid, key in keys.items():
        shards.setdefault(layout.shard_of[uid], {})[uid] = key
    return shards


def _is_whole(reader: ShardReader, last: str) -> bool:
    """Whether the file of the shard whose last object is `last` holds it to the end."""
    return reader.shard(last).stat().st_size >= reader.index.end(last)


@dataclass(frozen=True)
class Sealed:
    """The items of the last complete run: their keys, their shards, and how to read them."""

    keys: Mapping[str, str]
    layout: Layout | None
    reader: ShardReader | None


def run_resumable(
    label: str,
    work: Callable[[Any], Outcome],
    jobs: Sequence[KeyedJob],
    tools: Tools,
    folder: Path,
    store: FinishedItems | None = None,
) -> list[Outcome]:
    """Run the jobs that no earlier run decided; return all outcomes, sorted by uid.

    Args:
        label: Name of the stage, for progress and errors.
        work: Makes one item; runs in a worker.
        jobs: All items that are wanted.
        tools: Of the stage.
        folder: Where the journal lies.
        store: Where finished items lie; None when an item leaves nothing but its outcome.

    Raises RuntimeError when the disk is full, or when nothing was decided before and the first items fail one and all:
    that is no fault of theirs. What is done stays.
    """
    assert len({job.key for job in jobs}) == len(jobs), "two jobs share a key"
    journal = Journal(folder / "journal.jsonl")
    known = journal.known()
    found = {job.uid: known[job.key] for job in jobs if job.key in known and _is_reusable(known[job.key], job, store)}
    todo = [job for job in jobs if job.uid not in found]
    if found:
        tools.progress.note(f"{label}: {len(found)} of {len(jobs)} were finished before, {len(todo)} to go")
    key_of = {job.uid: job.key for job in todo}
    first: list[Outcome] = []
    with journal, tools.progress.items(label, len(todo)) as show:
        for outcome in tools.pool.run(work, todo):
            if isinstance(outcome, Failed) and os.strerror(errno.ENOSPC) in outcome.error:
                num_done = sum(not isinstance(row, Failed) for row in found.values())
                raise RuntimeError(
                    f"{label}: the disk is full ({outcome.error}); free space there and give the same command again, "
                    f"{num_done} of {len(jobs)} objects are decided and stay so"
                )
            journal.append(key_of[outcome.uid], outcome)
            found[outcome.uid] = outcome
            show(outcome)
            if not known and len(first) < MAX_FIRST_FAILURES:
                first.append(outcome)
                abort_if_all_failed(label, first)
    return [found[uid] for uid in sorted(found)]


def abort_if_all_failed(label: str, first: Sequence[Outcome]) -> None:
    """Raise RuntimeError when MAX_FIRST_FAILURES objects have ended and each of them failed."""
    failed = [outcome for outcome in first if isinstance(outcome, Failed)]
    if len(failed) == MAX_FIRST_FAILURES:
        raise RuntimeError(
            f"{label}: each of the first {MAX_FIRST_FAILURES} objects failed; this machine or the stage is at fault "
            f"rather than they. Last: {failed[-1].uid}: {failed[-1].error}"
        )


def _is_reusable(outcome: Outcome, job: KeyedJob, store: FinishedItems | None) -> bool:
    """Whether an outcome stands: a rejection for good, a finished item as long as its file is there."""
    return store is None or not isinstance(outcome, Done) or store.has(job.uid, job.key)
