"""Stage download: the kept objects only, each whole, checked, and fetched once however often the stage is restarted."""

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path

from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import Kind, check_failed_share, open_manifest, seal
from tasks.artifacts.tables import OBJECTS, ObjectFile, SelectedEntry, read_selected, write_objects
from tasks.config import CatalogConfig, DownloadConfig
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.ports import Tools
from tasks.sources.fetching import Fetcher
from tasks.sources.registry import open_source
from tasks.sources.threads import download_threads

MAX_CONSECUTIVE_OFFLINE = 16
"""So many objects in a row without an answer: the server is gone, and to wait for each of the rest helps nobody."""


def download_objects(
    selected: Path, catalog: CatalogConfig, config: DownloadConfig, seed: int, out: Path, tools: Tools
) -> None:
    """Bring the objects of `selected` to `out/<2 hex>/` and list them in `out/objects.csv`.

    Args:
        selected: Sealed folder of selected objects.
        catalog: The section `catalog`, which names the source.
        config: The section `download`.
        seed: With which a source of generated objects makes them.
        out: Becomes the sealed folder of objects.
        tools: Of the stage.

    An object that is too large, not there or broken is Rejected; one that the server would not give is Failed.
    Raises ConnectionError when the server does not answer at all, RuntimeError when the disk is full, when too many
    objects failed or when none is left. Run again, the stage goes on where it stopped.
    """
    manifest = open_manifest(selected, Kind.SELECTED)
    entries = {entry.uid: entry for entry in read_selected(selected / OBJECTS)}
    fetcher = Fetcher(open_source(catalog, seed, tools), config, tools.work, tools.hub_url)
    if out.exists():
        shutil.rmtree(out)
    outcomes = _fetch_all(list(entries.values()), fetcher, out, tools)
    check_failed_share("download", outcomes, config.max_failed_share)
    files = [_object_file(entries[row.uid], row) for row in outcomes if isinstance(row, Done)]
    if not files:
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


def _fetch_all(entries: Sequence[SelectedEntry], fetcher: Fetcher, out: Path, tools: Tools) -> list[Outcome]:
    """Fetch what is not here yet and link it into `out`; return one outcome per entry, sorted by uid."""
    before = fetcher.finished(entries)
    todo = [entry for entry in entries if entry.uid not in before]
    if before:
        tools.progress.note(f"download: {len(before)} of {len(entries)} objects are here already, {len(todo)} to go")
    found: dict[str, Outcome] = dict(before)
    try:
        with tools.progress.items("download", len(todo)) as show:
            patience = min(MAX_CONSECUTIVE_OFFLINE, len(entries))
            for outcome in fetch_in_parallel(fetcher.fetch, todo, fetcher.source.num_connections, patience):
                found[outcome.uid] = outcome
                show(outcome)
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
            f"download: the disk is full, {_num_here(found)} of {len(entries)} objects are here. "
            f"Free space under {tools.work} and run the stage again: what is here stays"
        ) from error
    return [found[uid] for uid in sorted(found)]


def _num_here(found: Mapping[str, Outcome]) -> int:
    return sum(isinstance(row, Done) for row in found.values())


def fetch_in_parallel(
    fetch: Callable[[SelectedEntry], Outcome], entries: Sequence[SelectedEntry], num_threads: int, patience: int
) -> Iterator[Outcome]:
    """Fetch objects in threads and yield outcomes as they come; an object without an answer is Failed.

    Raises ConnectionError when `patience` objects in a row have none, or when the server stays busy.
    """
    silent = 0
    with download_threads(num_threads) as threads:
        futures: dict[Future[Outcome], str] = {threads.submit(fetch, entry): entry.uid for entry in entries}
        for future in as_completed(futures):
            try:
                outcome = future.result()
                silent = 0
            except ConnectionError as error:
                silent += 1
                if silent == patience or error.errno == errno.EBUSY:
                    raise
                outcome = Failed(futures[future], error.strerror or str(error))
            yield outcome


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
        up_axis=entry.up_axis,
    )
