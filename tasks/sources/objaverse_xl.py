"""Objaverse-XL: lists of 10 million files at Sketchfab, GitHub and elsewhere, with the SHA-256 of each.

The lists are Parquet files of the data set allenai/objaverse-xl at the hub, with the columns fileIdentifier, source,
license, fileType, sha256 and metadata (allenai/objaverse-xl at GitHub, objaverse/xl/*.py). Of these files

- Sketchfab's are those of Objaverse 1.0, and are read there;
- GitHub's are read at their commit, with the files that a glTF or OBJ file names;
- the Smithsonian's are read at the address in the list;
- Thingiverse's are refused: they are STL files, which have no colours.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from render.formats import OBJECT_SUFFIXES
from tasks.artifacts.atomic import atomic_folder
from tasks.artifacts.manifest import fingerprint
from tasks.artifacts.tables import Entry, catalog_table
from tasks.config import CatalogConfig, IndexPart
from tasks.outcome import Rejected
from tasks.ports import Tools
from tasks.sources.hub_index import HubIndex, check_parquet
from tasks.sources.objaverse import ObjaverseSource
from tasks.sources.remote_files import NAMING, Repository, fetch_with_others
from tasks.sources.source import Listing, choose

HUB = "https://huggingface.co/datasets/allenai/objaverse-xl/resolve/main"
GITHUB = "https://raw.githubusercontent.com"
GITHUB_LFS = "https://media.githubusercontent.com/media"
SMITHSONIAN = "https://3d-api.si.edu"
PARTS: Mapping[IndexPart, str] = {
    "sketchfab": "sketchfab/sketchfab.parquet",
    "sketchfab-alignment": "sketchfab/alignment.parquet",
    "github": "github/github.parquet",
    "github-alignment": "github/alignment.parquet",
    "smithsonian": "smithsonian/smithsonian.parquet",
    "thingiverse": "thingiverse/thingiverse.parquet",
}
USUAL: tuple[IndexPart, ...] = ("sketchfab-alignment", "github-alignment")
COLUMNS = ("fileIdentifier", "source", "license", "fileType", "sha256")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SKETCHFAB = re.compile(r"https://sketchfab\.com/3d-models/(?:[^/]*-)?([0-9a-f]{32})")
_GITHUB = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+)/blob/([0-9a-f]{40})/(.+)")


class ObjaverseXLSource:
    """The objects that some lists of Objaverse-XL name. A location is its kind, a colon, and a path.

    Objects of Sketchfab have their uid there, as in Objaverse 1.0; all others have their SHA-256.
    """

    is_permanent = True
    num_connections = 16

    def __init__(self, config: CatalogConfig, seed: int, tools: Tools) -> None:
        self._config = config
        self._seed = seed
        self._tools = tools
        self._index = HubIndex("Objaverse-XL", HUB, tools)

    def listing(self) -> Listing:
        """List the wanted objects, downloading the lists alone; what cannot be downloaded is turned away with a reason.

        Raises ConnectionError when the hub cannot be reached, FileNotFoundError when it lacks a list, ValueError for a
        list with other columns.
        """
        names = [PARTS[part] for part in self._config.parts or USUAL]
        found: dict[str, Entry] = {}
        turned_away: list[Rejected] = []
        for path in self._index.fetch(names, check_parquet):
            for row in _rows(path):
                outcome = self._entry(row)
                if isinstance(outcome, Rejected):
                    turned_away.append(outcome)
                elif (first := found.setdefault(outcome.uid, outcome)).location != outcome.location:
                    reason = f"the same bytes as {first.location}, which is listed"
                    turned_away.append(Rejected(f"{outcome.uid[:64]}-{fingerprint(outcome.location)[:8]}", reason))
        choice = choose(found, self._config, self._seed)
        return Listing(
            catalog_table([found[uid] for uid in choice.kept]),
            turned_away=list({row.uid: row for row in turned_away}.values()),
            others=[row.uid for row in choice.dropped],
            unmatched=choice.unmatched,
        )

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Fetch an object's file, and the files that it names."""
        kind, _, path = entry.location.partition(":")
        if kind == "sketchfab":
            return self._sketchfab.fetch(replace(entry, location=path), folder, max_bytes=max_bytes)
        owner = "" if kind == "smithsonian" else "/".join(path.split("/")[:3])
        inner = path.removeprefix(f"{owner}/")
        repository = (
            Repository(SMITHSONIAN)
            if kind == "smithsonian"
            else Repository(f"{GITHUB}/{owner}", f"{GITHUB_LFS}/{owner}")
        )
        suffix = PurePosixPath(inner).suffix.lower()
        if suffix not in NAMING:
            target = folder / f"{entry.uid}{suffix}"
            repository.fetch(inner, target, self._tools.store, max_bytes)
            return target
        with atomic_folder(folder / entry.uid) as part:
            fetch_with_others(repository, inner, part, self._tools.store, max_bytes=max_bytes)
        return folder / entry.uid / inner

    def _entry(self, row: "_Row") -> Entry | Rejected:
        """Return the object of a row, or why it is none."""
        if reason := row.defect():
            return Rejected(row.name, reason)
        match row.source:
            case "sketchfab":
                entry, place = self._of_sketchfab(row), "in Objaverse 1.0, where it would be read"
            case "github":
                entry, place = _of_github(row), "a file of a commit at GitHub"
            case _:
                entry, place = _of_smithsonian(row), f"below {SMITHSONIAN}"
        return entry or Rejected(row.name, f"{row.identifier or 'its empty address'} is not {place}")

    def _of_sketchfab(self, row: "_Row") -> Entry | None:
        uid = _SKETCHFAB.fullmatch(row.identifier)
        location = self._sketchfab_paths.get(uid[1]) if uid else None
        return row.entry(uid[1], f"sketchfab:{location}") if uid and location else None

    @cached_property
    def _sketchfab(self) -> ObjaverseSource:
        return ObjaverseSource(self._config, self._seed, self._tools)

    @cached_property
    def _sketchfab_paths(self) -> Mapping[str, str]:
        return self._sketchfab.paths()


def _of_github(row: "_Row") -> Entry | None:
    place = _GITHUB.fullmatch(row.identifier)
    inner = unquote(place[4]) if place else ""
    if place is None or ".." in PurePosixPath(inner).parts:
        return None
    location = f"github:{place[1]}/{place[2]}/{place[3]}/{inner}"
    return row.entry(row.sha256, location, title=PurePosixPath(inner).stem, author=place[1])


def _of_smithsonian(row: "_Row") -> Entry | None:
    path = unquote(row.identifier.removeprefix(SMITHSONIAN))
    if not row.identifier.startswith(f"{SMITHSONIAN}/") or ".." in PurePosixPath(path).parts:
        return None
    return row.entry(row.sha256, f"smithsonian:{path.strip('/')}", author="Smithsonian Institution")


@dataclass(frozen=True)
class _Row:
    """One row of a list, as text."""

    identifier: str
    source: str
    license: str
    kind: str
    sha256: str

    @classmethod
    def of(cls, values: Iterable[Any]) -> "_Row":
        """Read a row's values; what is no text counts as empty."""
        return cls(*(value.strip() if isinstance(value, str) else "" for value in values))

    @property
    def name(self) -> str:
        """What the row is called where it is no object."""
        return self.sha256 if _SHA256.fullmatch(self.sha256) else f"xl-{fingerprint(self.identifier)[:16]}"

    def defect(self) -> str | None:
        """Return why no object can be had of the row, whatever its source."""
        if self.source == "thingiverse":
            return "a file of Thingiverse: STL, which has no colours"
        if self.source not in ("sketchfab", "github", "smithsonian"):
            return f"its source is {self.source or 'not said'}; known are sketchfab, github and smithsonian"
        if not _SHA256.fullmatch(self.sha256):
            return f"its sha256 is {self.sha256[:20] or 'not said'}, which is no hash"
        if f".{self.kind.lower()}" not in OBJECT_SUFFIXES:
            return f"a file of kind {self.kind or 'unknown'}, which cannot be rendered"
        return None

    def entry(self, uid: str, location: str, *, title: str = "", author: str = "") -> Entry:
        """Return the object."""
        return Entry(uid, location, None, title, self.license, "objaverse-xl", author=author, sha256=self.sha256)


def _rows(path: Path) -> Iterator[_Row]:
    """Yield the rows of a list."""
    with pq.ParquetFile(path) as file:
        if missing := [name for name in COLUMNS if name not in file.schema_arrow.names]:
            raise ValueError(
                f"{path} has columns {file.schema_arrow.names}, expected also {', '.join(missing)}: remove it, and set "
                "mirrors of the profile to a whole copy"
            )
        for batch in file.iter_batches(columns=list(COLUMNS)):
            columns = [batch[name].to_pylist() for name in COLUMNS]
            yield from map(_Row.of, zip(*columns, strict=True))
