"""Stage download: the kept objects only, each whole, checked, and fetched once however often the stage is restarted."""

import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import Kind, check_failed_share, open_manifest, seal
from tasks.artifacts.resume import MAX_FIRST_FAILURES, abort_if_all_failed
from tasks.artifacts.tables import OBJECTS, ObjectFile, SelectedEntry, read_columns, read_selected, write_objects
from tasks.config import CatalogConfig, DownloadConfig
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.ports import Tools
from tasks.sources.disk_budget import DiskBudget
from tasks.sources.fetching import Fetcher
from tasks.sources.parallel_fetching import MAX_CONSECUTIVE_OFFLINE, fetch_in_parallel
from tasks.sources.registry import open_source


def download_objects(
    selected: Path, catalog: CatalogConfig, config: DownloadConfig, seed: int, out: Path, tools: Tools
) -> None:
    """Bring the objects of `selected` to `out/<2 hex>/` and list them in `out/objects.parquet`.

    Args:
        selected: Sealed folder of selected objects.
        catalog: The section `catalog`, which names the source.
        config: The section `download`.
        seed: With which a source of generated objects makes them.
        out: Becomes the sealed folder of objects.
        tools: Of the stage.

    An object that is too large, not there or broken at its source is Rejected and not asked for again; one that the
    server would not give now, or sent something else for, is Failed and asked for again the next time.
    Raises ConnectionError when the server does not answer at all, RuntimeError when the disk is full up to its reserve
    or cannot hold what is known to come, when too many objects failed or when none is left. Run again, the stage goes
    on where it stopped.
    """
    manifest = open_manifest(selected, Kind.SELECTED)
    entries = {entry.uid: entry for entry in read_selected(selected / OBJECTS)}
    fetcher = Fetcher(open_source(catalog, seed, tools), config, tools.work, tools.hub_url)
    tools.work.mkdir(parents=True, exist_ok=True)
    if out.exists():
        shutil.rmtree(out)
    outcomes = _fetch_all(list(entries.values()), _known_sizes(selected / OBJECTS), fetcher, out, tools)
    check_failed_share("download", outcomes, config.max_failed_share)
    files = [_object_file(entries[row.uid], row) for row in outcomes if isinstance(row, Done)]
    if not files:
        fetcher.forget_rejected()  # a server that has none of them is the wrong one
        raise RuntimeError(f"download: none of {len(outcomes)} objects is left. First: {outcomes[0]}")
    counts = {
        kind.__name__.lower(): sum(isinstance(row, kind) for row in outcomes) for kind in (Done, Rejected, Failed)
    }
    tools.tracker.metrics({**counts, "megabytes": sum(file.bytes for file in files) / 1e6})
    write_objects(out / OBJECTS, files)
    content = sha256_of(out / OBJECTS)
    seal(
        out,
        Kind.OBJECTS,
        config=config,
        inputs={"selected": manifest.fingerprint, "objects": content},
        outcomes=outcomes,
    )


def _known_sizes(table: Path) -> dict[str, int]:
    """Return the bytes of each object for which the table of selected objects knows them."""
    rows = read_columns(table, ["uid", "bytes"])
    rows = rows.filter(rows["bytes"].is_valid())
    return dict(zip(rows["uid"].to_pylist(), rows["bytes"].to_pylist(), strict=True))


def _fetch_all(
    entries: Sequence[SelectedEntry], sizes: Mapping[str, int], fetcher: Fetcher, out: Path, tools: Tools
) -> list[Outcome]:
    """Fetch what is not here yet and link it into `out`; return one outcome per entry, sorted by uid."""
    before = fetcher.finished(entries)
    todo = [entry for entry in entries if entry.uid not in before]
    _note_finished(before, len(entries), fetcher, tools)
    found: dict[str, Outcome] = dict(before)
    try:
        for outcome in _fetch_within_budget(todo, before, sizes, fetcher, tools):
            found[outcome.uid] = outcome
        fetcher.link_into([entry for entry in entries if isinstance(found[entry.uid], Done)], out)
    except ConnectionError as error:
        raise ConnectionError(
            f"download: the server {'stays busy' if error.errno == errno.EBUSY else 'does not answer'}, "
            f"{_num_here(found)} of {len(entries)} objects are here: {error.strerror or error}. "
            "Check the network or hub_url in the profile and run the stage again: what is here stays"
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise RuntimeError(
            f"download: the disk is full up to a reserve of {tools.disk_reserve / 1e9:g} GB (disk_reserve_gb in the "
            f"profile), {_num_here(found)} of {len(entries)} objects are here. "
            f"Free space under {tools.work} and run the stage again: what is here stays"
        ) from error
    return [found[uid] for uid in sorted(found)]


def _note_finished(before: Mapping[str, Outcome], total: int, fetcher: Fetcher, tools: Tools) -> None:
    if not before:
        return
    here = _num_here(before)
    text = f"download: {here} of {total} objects are here already, {total - len(before)} to go"
    if rejected := len(before) - here:
        text += f"; {rejected} were rejected before, delete {fetcher.rejected_path} to ask for them again"
    tools.progress.note(text)


def _fetch_within_budget(
    todo: Sequence[SelectedEntry],
    before: Mapping[str, Outcome],
    sizes: Mapping[str, int],
    fetcher: Fetcher,
    tools: Tools,
) -> Iterator[Outcome]:
    """Fetch objects and yield what becomes of them, while the disk's room and the progress are watched.

    Raises RuntimeError when what is to come is known not to fit, or when the first objects fail one and all.
    """
    measured = [_bytes(row) for row in before.values() if isinstance(row, Done)]
    budget = DiskBudget([entry.uid for entry in todo], tools.work, tools.disk_reserve, sizes=sizes, measured=measured)
    if budget.is_exact and (shortage := budget.shortage()):
        raise RuntimeError(f"download: {shortage}; nothing was fetched")
    first: list[Outcome] | None = None if measured else []
    is_warned = False
    with tools.progress.transfers("download", len(todo)) as show:
        patience = min(MAX_CONSECUTIVE_OFFLINE, len(before) + len(todo))
        for fetched in fetch_in_parallel(fetcher.fetch, todo, fetcher.source.num_connections, patience):
            outcome = fetched.outcome
            budget.count(outcome.uid, _bytes(outcome))
            show(fetched.kind, _bytes(outcome), budget.to_come)
            if not is_warned and (shortage := budget.shortage()):
                tools.progress.note(f"download: {shortage}; it goes on until the disk is full up to the reserve")
                is_warned = True
            yield outcome
            if first is not None and len(first) < MAX_FIRST_FAILURES:
                first.append(outcome)
                abort_if_all_failed("download", first)


def _num_here(found: Mapping[str, Outcome]) -> int:
    return sum(isinstance(row, Done) for row in found.values())


def _bytes(outcome: Outcome) -> int:
    return int(str(outcome.facts["bytes"])) if isinstance(outcome, Done) else 0


def _object_file(entry: SelectedEntry, done: Done) -> ObjectFile:
    facts = done.facts
    return ObjectFile(
        uid=entry.uid,
        file=str(facts["file"]),
        sha256=str(facts["sha256"]),
        bytes=int(str(facts["bytes"])),
        split=entry.split,
        score=entry.score,
        title=entry.title,
        license=entry.license,
        author=entry.author,
        source=entry.source,
        up_axis=entry.up_axis,
    )
