"""Objaverse 1.0: 800k GLB files at a hub, listed with the objaverse package and downloaded by tasks.ports.Store.

The package (0.1.7) knows the layout of the hub: object-paths.json.gz, metadata/NNN-NNN.json.gz, glbs/ and lvis-
annotations.json.gz. Its own downloads have no timeout, no retry, no resume and no other address than one; a metadata
file that was cut short stays and breaks every later run; one failed object loses its whole batch; and each call
counts all files on disk. So index and annotations are downloaded to where the package looks for them and checked, and
the package reads index and LVIS categories; the objects themselves come through tasks.ports.Store. Its folder is a
private variable, and where an object lies only the private _load_object_paths tells (load_uids drops the paths). The
metadata files are read here, one at a time: the package's load_annotations reads the whole index again for each call,
or holds all annotations at once.
"""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import objaverse
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import from_json

from render import gltf
from render.errors import Unrenderable
from tasks.artifacts.catalog_columns import CATALOG
from tasks.artifacts.cycle_search import without_cycle_search
from tasks.artifacts.tables import Entry, in_columns_of
from tasks.config import CatalogConfig
from tasks.ports import Tools
from tasks.sources.annotations import annotated_columns
from tasks.sources.hub_index import HubIndex, check_gzip
from tasks.sources.source import Listing, choose

INDEX = "object-paths.json.gz"
LVIS = "lvis-annotations.json.gz"
"""Uids by category of LVIS (Gupta et al. 2019), of the 47,000 objects that Objaverse's authors have checked."""

REMEDY = f"Check the network, or set hub_url in the profile to a mirror that holds {INDEX}, {LVIS}, metadata/ and glbs/"


class ObjaverseSource:
    """The objects at `tools.hub_url`: the hub itself or a mirror of its layout."""

    is_permanent = True
    num_connections = 16

    def __init__(self, config: CatalogConfig, seed: int, tools: Tools) -> None:
        self._config = config
        self._seed = seed
        self._tools = tools
        self._hub = tools.hub_url.rstrip("/")
        self._files = HubIndex("Objaverse", self._hub, tools, REMEDY)
        self._cache = self._files.folder

    def listing(self) -> Listing:
        """List the wanted objects, downloading their metadata only; Objaverse has no scores of its own.

        Raises ConnectionError when the hub cannot be reached, FileNotFoundError when it lacks a part of the layout.
        """
        self._download([INDEX, LVIS])
        chosen, unmatched, others = self._chosen()
        rows = _rows_by_folder(chosen)
        self._download([_annotations_of(folder) for folder in rows])
        categories = {uid: name for name, uids in objaverse.load_lvis_annotations().items() for uid in uids}
        table = pa.concat_tables(
            self._read_folder(folder, chosen["uid"].take(pa.array(numbers)).to_pylist(), categories)
            for folder, numbers in rows.items()
        )
        order, annotated, names = np.argsort(np.concatenate(list(rows.values()))), table.columns, table.column_names
        del table  # with a sorted copy it would be the most that the stage holds, so it is sorted column by column
        for number in range(len(annotated)):
            annotated[number] = annotated[number].take(pa.array(order))
        pa.default_memory_pool().release_unused()  # which keeps what sorting has used for later arrays
        columns = {"uid": chosen["uid"], "location": chosen["location"], **dict(zip(names, annotated, strict=True))}
        columns["source"] = pa.repeat("objaverse", len(chosen))
        return Listing(in_columns_of(CATALOG, columns, len(chosen)), others=others, unmatched=unmatched)

    def _chosen(self) -> tuple[pa.Table, Sequence[str], Sequence[str]]:
        """Return uid and location of the wanted objects, sorted by uid; patterns that match none; all other uids."""
        paths = self.paths()
        choice = choose(paths, self._config, self._seed)
        locations = [paths[uid] for uid in choice.kept]
        chosen = pa.table({"uid": choice.kept, "location": locations})
        return chosen, choice.unmatched, [row.uid for row in choice.dropped]

    def _read_folder(self, folder: str, uids: Sequence[str], categories: Mapping[str, str]) -> pa.Table:
        """Return what annotations and LVIS say of objects that lie in one folder of the hub."""
        with without_cycle_search():
            notes = from_json(gzip.decompress((self._cache / _annotations_of(folder)).read_bytes()))
            lvis = pa.array([categories.get(uid) for uid in uids], pa.string())
            return pa.table({"lvis_category": lvis, **annotated_columns(notes.get(uid, {}) for uid in uids)})

    def paths(self) -> dict[str, str]:
        """Return where each object lies at the hub, by uid."""
        self._download([INDEX])
        objaverse._VERSIONED_PATH = str(self._cache)
        paths: dict[str, str] = objaverse._load_object_paths()
        return paths

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Download an object's GLB file."""
        target = folder / f"{entry.uid}.glb"
        self._tools.store.fetch(f"{self._hub}/{entry.location}", target, max_bytes=max_bytes)
        for name in gltf.file_names(target):
            if name.startswith(("/", "..")):
                raise Unrenderable(f"refers to {name}, which lies outside of its folder, where it came without it")
        return target

    def _download(self, names: Sequence[str]) -> None:
        self._files.fetch(names, check_gzip)


def _rows_by_folder(index: pa.Table) -> dict[str, np.ndarray]:
    """Return the numbers of the rows whose objects lie in one folder of the hub, by its name."""
    folders = (
        pc.replace_substring_regex(index["location"], r"^[^/]*/([^/]*)/.*$", r"\1").dictionary_encode().combine_chunks()
    )
    codes = folders.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return {folders.dictionary[codes[part[0]]].as_py(): part for part in parts}


def _annotations_of(folder: str) -> str:
    """The file with the annotations of a folder's objects."""
    return f"metadata/{folder}.json.gz"
