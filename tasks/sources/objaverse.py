"""Objaverse 1.0: 800k GLB files at a hub, listed with the objaverse package and downloaded by tasks.ports.Store.

The package (0.1.7) knows the layout of the hub: object-paths.json.gz, metadata/NNN-NNN.json.gz, glbs/. Its own
downloads have no timeout, no retry, no resume and no other address than one; a metadata file that was cut short
stays and breaks every later run; one failed object loses its whole batch; and each call counts all files on disk.
So the index and the metadata are downloaded to where the package looks for them and checked, and the package reads
them; the objects themselves come through tasks.ports.Store. Its folder is a private variable, and where an object lies
only the private _load_object_paths tells (load_uids drops the paths); the metadata come from its load_annotations.
"""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import objaverse

from tasks.artifacts.manifest import fingerprint
from tasks.artifacts.tables import Entry
from tasks.config import CatalogConfig
from tasks.ports import Tools
from tasks.sources.source import Listing, choose
from tasks.sources.threads import download_threads

INDEX = "object-paths.json.gz"
FOLDERS_AT_ONCE = 4
"""Metadata files (some 5000 objects each) held in memory together: few, as an annotation is long; not one, because
the package reads its whole index again for each call."""


class ObjaverseSource:
    """The objects at `tools.hub_url`: the hub itself or a mirror of its layout."""

    is_permanent = True
    num_connections = 16

    def __init__(self, config: CatalogConfig, seed: int, tools: Tools) -> None:
        self._config = config
        self._seed = seed
        self._tools = tools
        self._hub = tools.hub_url.rstrip("/")
        self._cache = tools.work / f"hub-{fingerprint(self._hub)[:8]}"

    def listing(self) -> Listing:
        """List the wanted objects, downloading their metadata only; Objaverse has no scores of its own.

        Raises ConnectionError when the hub cannot be reached, FileNotFoundError when it lacks a part of the layout.
        """
        self._download([INDEX])
        objaverse._VERSIONED_PATH = str(self._cache)
        paths: dict[str, str] = objaverse._load_object_paths()
        choice = choose(paths, self._config, self._seed)
        members: dict[str, list[str]] = {}
        for uid in choice.kept:
            members.setdefault(paths[uid].split("/")[1], []).append(uid)
        folders = sorted(members)
        self._download([f"metadata/{folder}.json.gz" for folder in folders])
        entries: list[Entry] = []
        for start in range(0, len(folders), FOLDERS_AT_ONCE):
            uids = [uid for folder in folders[start : start + FOLDERS_AT_ONCE] for uid in members[folder]]
            entries += _read_batch(uids, paths)
        others = [row.uid for row in choice.dropped]
        return Listing(sorted(entries, key=lambda entry: entry.uid), others=others, unmatched=choice.unmatched)

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Download an object's GLB file."""
        target = folder / f"{entry.uid}.glb"
        self._tools.store.fetch(f"{self._hub}/{entry.location}", target, max_bytes=max_bytes)
        return target

    def _download(self, names: Sequence[str]) -> None:
        missing = [name for name in names if not (self._cache / name).exists()]
        if missing:
            self._tools.progress.note(f"fetching {len(missing)} of {len(names)} index files from {self._hub}")
        try:
            with download_threads(self.num_connections) as threads:
                list(threads.map(self._download_whole, missing))
        except (ConnectionError, FileNotFoundError) as error:
            raise type(error)(
                f"Objaverse cannot be read at {self._hub}: {error}. Check the network, or set hub_url in the profile "
                f"to a mirror that holds {INDEX}, metadata/ and glbs/"
            ) from error

    def _download_whole(self, name: str) -> None:
        """Download a gzip file and check that it is whole before it gets the name that the package looks for."""
        unchecked = self._cache / f"{name}.unchecked"
        self._tools.store.fetch(f"{self._hub}/{name}", unchecked)
        try:
            with gzip.open(unchecked) as file:
                while file.read(1 << 20):
                    pass
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            unchecked.unlink()
            raise OSError(
                f"{self._hub}/{name} is not a whole gzip file ({error}): try again or another hub_url"
            ) from error
        unchecked.replace(self._cache / name)


def _read_batch(uids: list[str], paths: dict[str, str]) -> list[Entry]:
    notes = objaverse.load_annotations(uids)
    return [
        Entry(uid, paths[uid], None, _text(notes, uid, "name"), _text(notes, uid, "license"), "objaverse")
        for uid in uids
    ]


def _text(notes: dict[str, dict[str, str | None]], uid: str, field: str) -> str:
    """A field on one line; empty where the object has none."""
    return " ".join((notes.get(uid, {}).get(field) or "").split())
