"""The source of objects in a folder: files of the kinds of render.formats, and what an optional scores.csv says."""

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from render.formats import OBJECT_SUFFIXES, UNREAD_SUFFIXES, rank_of, unread
from tasks.artifacts.atomic import atomic_file, atomic_folder
from tasks.artifacts.tables import Entry, catalog_table
from tasks.config import CatalogConfig
from tasks.outcome import Rejected
from tasks.sources.archive import ARCHIVE, unpack
from tasks.sources.folder_table import FolderTable, read_folder_table
from tasks.sources.names import name_objects
from tasks.sources.side_files import side_files
from tasks.sources.source import Listing, choose
from tasks.sources.uid_memory import UidMemory
from tasks.sources.walk import walk

SAME_OBJECT = {
    "raw_model": "normalized_model",
    "model_raw": "model",
    "collision_geometry": "visual_geometry",
    "nontextured": "textured",
}
"""Names of files that show the object of another file beside them, whose name follows and which is used: 3D-FUTURE's
model before it was scaled, Pix3D's before its faces were made anew, Kubric's shape for physics, YCB's scan without its
texture."""

OBJECTS_OF_THEIR_OWN = (".glb", ".gltf", ".obj")
"""Formats whose files are objects whatever lies beside them. A file of another format is passed over where one of the
same name and an earlier format lies beside it, as in YCB (textured.obj, .dae), and an archive beside its folder."""


class FolderSource:
    """The objects below `catalog.folder`. Files may change under their names, so fetched copies are not reused."""

    is_permanent = False
    num_connections = 1

    def __init__(self, config: CatalogConfig, seed: int, memory: Path | None = None) -> None:
        self._config = config
        self._seed = seed
        self._root = Path(config.folder).expanduser()
        self._memory = None if memory is None else UidMemory(memory, config.folder)

    def listing(self) -> Listing:
        """List the objects below the folder, and with a reason what is none though it looks like one.

        Raises ValueError when the folder holds no object, or when scores.csv belongs to other objects.
        """
        found = find_objects(self._root, self._memory)
        choice = choose(found.objects, self._config, self._seed)
        table = read_folder_table(self._root, found.objects)
        return Listing(
            catalog_table([self._entry(uid, found.objects[uid], table) for uid in choice.kept]),
            turned_away=[*found.turned_away, *choice.dropped],
            unmatched=choice.unmatched,
            unknown_scores=table.unknown,
        )

    def _entry(self, uid: str, path: Path, table: FolderTable) -> Entry:
        notes = table.notes.get(uid, {})
        return Entry(
            uid,
            path.relative_to(self._root).as_posix(),
            table.scores.get(uid),
            notes.get("title") or " ".join(path.stem.split()),
            notes.get("license") or "",
            "folder",
            up_axis=table.up_axes.get(uid, self._config.up_axis),
        )

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Copy an object's files: one becomes `UID.glb` or the like, several keep their names and places in `UID/`.

        An archive is unpacked.

        Raises OSError(EFBIG) when they are larger than `max_bytes` together, FileNotFoundError when one lies
        outside the folder, Unrenderable for an archive that does not hold one object.
        """
        main = Path(os.path.normpath((self._root / entry.location).absolute()))
        if main.suffix.lower() == ARCHIVE:
            return unpack(main, folder / entry.uid, max_bytes=max_bytes)
        files = {main: main, **side_files(main, self._root)}
        size = sum(file.stat().st_size for file in files.values())
        if max_bytes is not None and size > max_bytes:
            raise OSError(errno.EFBIG, f"{main}: {size} bytes, the limit is {max_bytes}")
        if len(files) == 1:
            target = folder / f"{entry.uid}{main.suffix.lower()}"
            with atomic_file(target) as part:
                shutil.copyfile(main, part)
            return target
        base = Path(os.path.commonpath([place.parent for place in files]))
        return _copy_tree(files, base, folder / entry.uid) / main.relative_to(base)


@dataclass(frozen=True)
class FolderObjects:
    """The objects below a folder."""

    root: Path
    """The folder."""
    objects: Mapping[str, Path]
    """Main files by uid, sorted by uid."""
    turned_away: tuple[Rejected, ...]
    """What is no object though it looks like one, with the reason."""


def find_objects(root: Path, memory: UidMemory | None = None) -> FolderObjects:
    """Find the objects below `root`; docs/folders.md says under which uids, and what is passed over.

    Args:
        root: The folder.
        memory: Uids that objects of the folder were given before, which they keep; those of now are added.

    Raises ValueError when there is none.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder: put {', '.join(OBJECT_SUFFIXES)} files there or name another folder")
    found = walk(root, {*OBJECT_SUFFIXES, *UNREAD_SUFFIXES})
    readable = [path for path in found.objects if PurePosixPath(path).suffix.lower() in OBJECT_SUFFIXES]
    faults = found.faults | _unread(found.objects, readable) | _seconds(readable)
    paths = [path for path in readable if path not in faults]
    uids = memory.name(paths) if memory else name_objects(paths)
    if not uids:
        why = f"; of {len(faults)} that look like one the first is {next(iter(faults.values()))}" if faults else ""
        raise ValueError(
            f"{root} holds no {', '.join(OBJECT_SUFFIXES)} file{why}: put objects there or name another folder"
        )
    fault_uids = name_objects(sorted(faults), taken=uids.values())
    return FolderObjects(
        root,
        {uid: root / path for path, uid in sorted(uids.items(), key=lambda named: named[1])},
        tuple(Rejected(uid, faults[path]) for path, uid in fault_uids.items()),
    )


def _unread(found: Sequence[str], readable: Sequence[str]) -> dict[str, str]:
    """Return the 3D files of kinds that nothing reads, with the reason, but for those of objects that are there too."""
    names = {_without_suffix(path) for path in readable}
    return {
        path: unread(PurePosixPath(path))
        for path in sorted({*found}.difference(readable))
        if _without_suffix(path) not in names
    }


def _seconds(readable: Sequence[str]) -> dict[str, str]:
    """Return the files that show the object of another file beside them, with the reason."""
    best = sorted(readable, key=lambda path: rank_of(PurePosixPath(path)), reverse=True)
    firsts = {_without_suffix(path): path for path in best}
    folders = {str(parent).lower(): path for path in best for parent in PurePosixPath(path).parents}
    reasons = {}
    for path in readable:
        parts = PurePosixPath(path)
        first = SAME_OBJECT.get(parts.stem.lower())
        used = first and firsts.get(str(parts.with_name(first)).lower())
        if not used and parts.suffix.lower() not in OBJECTS_OF_THEIR_OWN:
            better = firsts[_without_suffix(path)]
            used = better if better != path else None
            used = used or (folders.get(_without_suffix(path)) if parts.suffix.lower() == ARCHIVE else None)
        if used:
            reasons[path] = f"the same object as {PurePosixPath(used).name} beside it, which is used"
    return reasons


def _without_suffix(path: str) -> str:
    return str(PurePosixPath(path).with_suffix("")).lower()


def _copy_tree(files: Mapping[Path, Path], base: Path, target: Path) -> Path:
    """Copy files, by their places, to where these are, relative to `base`, in `target`; return `target`."""
    shutil.rmtree(target, ignore_errors=True)
    with atomic_folder(target) as part:
        for place, file in files.items():
            copy = part / place.relative_to(base)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    return target
