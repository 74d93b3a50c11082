"""Fetches the thumbnails whose addresses a catalog has, each once however often the command is given."""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from tasks.artifacts.manifest import MAX_FAILED_SHARE, check_failed_share
from tasks.artifacts.tables import Entry
from tasks.config import DownloadConfig
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.ports import Store, Tools
from tasks.sources.fetching import Fetcher
from tasks.sources.parallel_fetching import MAX_CONSECUTIVE_OFFLINE, fetch_in_parallel

LABEL = "aesthetic-scores"
LIMITS = DownloadConfig(max_mb=20, max_failed_share=MAX_FAILED_SHARE)
"""The largest thumbnail of an object at Sketchfab is about 1920 pixels wide, so that 20 MB are never reached."""


class Thumbnails:
    """Pictures of objects; an entry's location is the address."""

    is_permanent = True
    num_connections = 16

    def __init__(self, store: Store) -> None:
        self._store = store

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Download the picture of an object."""
        target = folder / f"{entry.uid}{Path(urlsplit(entry.location).path).suffix[:8]}"
        self._store.fetch(entry.location, target, max_bytes=max_bytes)
        return target


@dataclass(frozen=True)
class Thumbnail:
    """A fetched picture."""

    path: Path
    sha256: str


def fetch_thumbnails(catalog: pa.Table, tools: Tools) -> dict[str, Thumbnail]:
    """Fetch the picture of each object that has an address for one; return them by uid, sorted.

    Args:
        catalog: Columns uid and thumbnail.
        tools: Of the command; pictures stay below its work folder.

    An object whose picture is not there is left out and not asked for again; one that the server would not give now
    is left out and asked for the next time.
    Raises ValueError when no object has an address, ConnectionError when the server does not answer at all,
    RuntimeError when the disk is full up to its reserve or too many objects failed. What is fetched stays.
    """
    rows = catalog.filter(catalog["thumbnail"].is_valid())
    if not len(rows):
        raise ValueError(
            f"none of the catalog's {len(catalog)} objects has the address of a thumbnail; render views of them and "
            "score those"
        )
    entries = [
        Entry(uid, address, None, "", "", "")
        for uid, address in zip(rows["uid"].to_pylist(), rows["thumbnail"].to_pylist(), strict=True)
    ]
    fetcher = Fetcher(Thumbnails(tools.store), LIMITS, tools.work / "thumbnails", tools.hub_url)
    outcomes = _fetch_all(entries, fetcher, tools)
    check_failed_share(LABEL, outcomes.values(), MAX_FAILED_SHARE)
    _say_what_is_missing(outcomes, fetcher, tools)
    done = {uid: row for uid, row in sorted(outcomes.items()) if isinstance(row, Done)}
    folder_of = {entry.uid: fetcher.folder(entry) for entry in entries if entry.uid in done}
    return {
        uid: Thumbnail(folder_of[uid] / Path(str(row.facts["file"])).name, str(row.facts["sha256"]))
        for uid, row in done.items()
    }


def _fetch_all(entries: Sequence[Entry], fetcher: Fetcher, tools: Tools) -> dict[str, Outcome]:
    found = fetcher.finished(entries)
    todo = [entry for entry in entries if entry.uid not in found]
    if found:
        tools.progress.note(f"{LABEL}: {len(found)} of {len(entries)} thumbnails are decided, {len(todo)} to go")
    patience = min(MAX_CONSECUTIVE_OFFLINE, len(entries))
    try:
        with tools.progress.items(f"{LABEL}: thumbnails", len(todo)) as show:
            for fetched in fetch_in_parallel(fetcher.fetch, todo, fetcher.source.num_connections, patience):
                found[fetched.outcome.uid] = fetched.outcome
                show(fetched.outcome)
    except ConnectionError as error:
        raise ConnectionError(
            f"{LABEL}: the server of the thumbnails does not answer: {error.strerror or error}. Check the network and "
            "give the command again: what is here stays"
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise RuntimeError(
            f"{LABEL}: the disk is full up to a reserve of {tools.disk_reserve / 1e9:g} GB (disk_reserve_gb in the "
            f"profile). Free space under {tools.work} and give the command again: what is here stays"
        ) from error
    return found


def _say_what_is_missing(outcomes: Mapping[str, Outcome], fetcher: Fetcher, tools: Tools) -> None:
    failed = [row for row in outcomes.values() if isinstance(row, Failed)]
    rejected = [row for row in outcomes.values() if isinstance(row, Rejected)]
    if failed:
        tools.progress.note(
            f"{LABEL}: {len(failed)} thumbnails did not come, such as that of {failed[0].uid}: {failed[0].error}; "
            "remove the table and give the command again to ask for them"
        )
    if rejected:
        tools.progress.note(
            f"{LABEL}: {len(rejected)} thumbnails are not to be had, such as that of {rejected[0].uid}: "
            f"{rejected[0].reason}; delete {fetcher.rejected_path} to ask for them again"
        )
