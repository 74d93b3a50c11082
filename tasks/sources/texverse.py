"""TexVerse (arXiv 2508.10868): 858,669 objects of Sketchfab with large textures, each in several sizes of texture.

Its list is metadata.json of the data set YiboZhang2001/TexVerse at the hub: of each uid Sketchfab's fields, and as
`glb_paths` the files glbs/glbs_SIZE/NNN-NNN/UID_PIXELS.glb. Those of 1,024 pixels lie in YiboZhang2001/TexVerse-1K.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.artifacts.catalog_columns import CATALOG
from tasks.artifacts.manifest import fingerprint
from tasks.artifacts.tables import Entry, check_uid, in_columns_of
from tasks.config import CatalogConfig
from tasks.outcome import Rejected
from tasks.ports import Tools
from tasks.sources.annotations import annotated_columns
from tasks.sources.hub_index import HubIndex
from tasks.sources.json_members import json_members
from tasks.sources.source import Listing, choose

HUB = "https://huggingface.co/datasets/YiboZhang2001/TexVerse/resolve/main"
HUB_1K = "https://huggingface.co/datasets/YiboZhang2001/TexVerse-1K/resolve/main"
METADATA = "metadata.json"
_FILE = re.compile(r"glbs/glbs_(\w+)/[^/]+/[\w-]+_(\d+)\.glb")
BATCH = 10_000
"""Objects whose notes are held as Python's objects at once."""


class TexVerseSource:
    """The objects of TexVerse, each as the file with its smallest textures: views of 512 pixels do not exhaust them."""

    is_permanent = True
    num_connections = 16

    def __init__(self, config: CatalogConfig, seed: int, tools: Tools) -> None:
        self._config = config
        self._seed = seed
        self._tools = tools
        self._index = HubIndex("TexVerse", HUB, tools)

    def listing(self) -> Listing:
        """List the wanted objects, downloading the list alone.

        Raises ConnectionError when the hub cannot be reached, FileNotFoundError when it has no list.
        """
        (path,) = self._index.fetch([METADATA], _read_through)
        places: dict[str, str] = {}
        turned_away: dict[str, Rejected] = {}
        for uid, note in json_members(path):
            if reason := _defect(uid, note):
                name = uid if _is_uid(uid) else f"texverse-{fingerprint(uid)[:16]}"
                turned_away[name] = Rejected(name, reason)
            else:
                places[uid] = _smallest(note["glb_paths"])
        choice = choose([uid for uid in places if uid not in turned_away], self._config, self._seed)
        return Listing(
            _table(path, {uid: places[uid] for uid in choice.kept}),
            turned_away=list(turned_away.values()),
            others=[row.uid for row in choice.dropped],
            unmatched=choice.unmatched,
        )

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Download an object's GLB file."""
        target = folder / f"{entry.uid}.glb"
        hub = HUB_1K if "/glbs_1k/" in entry.location else HUB
        self._tools.store.fetch(f"{hub}/{entry.location}", target, max_bytes=max_bytes)
        return target


def _read_through(path: Path) -> None:
    for _ in json_members(path):
        pass


def _defect(uid: str, note: object) -> str | None:
    if not _is_uid(uid):
        return f"its uid {uid[:40]!r} cannot name a file"
    if not isinstance(note, dict):
        return "its entry in the list is no JSON object"
    paths = note.get("glb_paths")
    if not isinstance(paths, list) or not any(isinstance(path, str) and _FILE.fullmatch(path) for path in paths):
        return "the list names no GLB file of it"
    return None


def _is_uid(uid: str) -> bool:
    try:
        check_uid(uid)
    except ValueError:
        return False
    return True


def _smallest(paths: list[object]) -> str:
    """Return the file with the smallest textures."""
    found = [(int(match[2]), path) for path in paths if isinstance(path, str) and (match := _FILE.fullmatch(path))]
    return min(found)[1]


def _table(path: Path, places: Mapping[str, str]) -> pa.Table:
    """Return the catalog's rows of objects, given with their files, sorted by uid."""
    tables, notes = [CATALOG.empty_table()], dict[str, Any]()
    for uid, note in json_members(path):
        if uid in places:
            notes[uid] = note
        if len(notes) == BATCH:
            tables.append(_rows(notes, places))
            notes = {}
    return pa.concat_tables([*tables, _rows(notes, places)]).sort_by("uid")


def _rows(notes: Mapping[str, Any], places: Mapping[str, str]) -> pa.Table:
    columns = {
        "uid": pa.array(notes, pa.string()),
        "location": pa.array([places[uid] for uid in notes], pa.string()),
        "source": pa.array(["texverse"] * len(notes), pa.string()),
        **annotated_columns(notes.values()),
    }
    return in_columns_of(CATALOG, columns, len(notes))
