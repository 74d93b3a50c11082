"""The source of objects in a folder: GLB, glTF and OBJ files, with scores and titles in an optional scores.csv."""

import csv
import errno
import os
import re
import shutil
from pathlib import Path

from render.axes import UpAxis, parse_up_axis
from render.formats import OBJECT_SUFFIXES
from tasks.artifacts.atomic import atomic_file, atomic_folder
from tasks.artifacts.tables import UP_AXIS, Entry
from tasks.config import CatalogConfig
from tasks.sources.aesthetic_scores import read_scores
from tasks.sources.side_files import side_files
from tasks.sources.source import choose

SCORES = "scores.csv"
"""Table with the columns uid and aesthetic_score and, if wanted, title, license and up_axis."""
GENERIC = frozenset({"model", "mesh", "meshes", "scene", "source", "textured"})
"""Names that say nothing: Sketchfab's NAME/scene.gltf and GSO's NAME/meshes/model.obj are NAME."""


class FolderSource:
    """The objects below `catalog.folder`. Files may change under their names, so fetched copies are not reused."""

    is_permanent = False
    num_connections = 1

    def __init__(self, config: CatalogConfig, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._root = Path(config.folder)

    def entries(self) -> list[Entry]:
        """List the objects below the folder. Raises ValueError when the folder holds no object or two of one name."""
        objects = find_objects(self._root)
        table = self._root / SCORES
        scores = read_scores(table) if table.exists() else {}
        notes = _read_notes(table) if table.exists() else {}
        axes = read_up_axes(self._root)
        return [
            Entry(
                uid,
                objects[uid].relative_to(self._root).as_posix(),
                scores.get(uid),
                notes.get(uid, {}).get("title") or objects[uid].stem,
                notes.get(uid, {}).get("license") or "",
                "folder",
                up_axis=axes.get(uid, self._config.up_axis),
            )
            for uid in choose(objects, self._config, self._seed)
        ]

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Copy an object's files: one becomes `UID.glb` or the like, several keep their names and places in `UID/`.

        Raises OSError(EFBIG) when they are larger than `max_bytes` together.
        """
        main = self._root / entry.location
        files = [main, *side_files(main, self._root)]
        size = sum(file.stat().st_size for file in files)
        if max_bytes is not None and size > max_bytes:
            raise OSError(errno.EFBIG, f"{main}: {size} bytes, the limit is {max_bytes}")
        if len(files) == 1:
            target = folder / f"{entry.uid}{main.suffix.lower()}"
            with atomic_file(target) as part:
                shutil.copyfile(main, part)
            return target
        base = Path(os.path.commonpath([file.parent for file in files]))
        return _copy_tree(files, base, folder / entry.uid) / main.relative_to(base)


def find_objects(root: Path) -> dict[str, Path]:
    """Return the main files below `root` by uid, sorted by uid; hidden files and folders are passed over.

    The uid is the file's name without ending, or its folder's where that name is generic.
    Raises ValueError when there is none or when two have the same uid.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder: put {', '.join(OBJECT_SUFFIXES)} files there or name another folder")
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.suffix.lower() not in OBJECT_SUFFIXES or not path.is_file() or _is_hidden(inside):
            continue
        uid = _uid(inside)
        if uid in found:
            raise ValueError(f"{path} and {found[uid]} would both be object {uid!r}: rename one of them")
        found[uid] = path
    if not found:
        raise ValueError(f"{root} holds no {', '.join(OBJECT_SUFFIXES)} file: put objects there or name another folder")
    return dict(sorted(found.items()))


def read_up_axes(root: Path) -> dict[str, UpAxis]:
    """Return the up axes that scores.csv in `root` gives, by uid; none where it is absent or lacks the column.

    Raises ValueError with line and value for a cell that is no axis.
    """
    table = root / SCORES
    if not table.exists():
        return {}
    axes: dict[str, UpAxis] = {}
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            if not (row.get(UP_AXIS) or "").strip():
                continue
            try:
                axes[row["uid"]] = parse_up_axis(row[UP_AXIS])
            except ValueError as error:
                raise ValueError(f"{table}, line {rows.line_num}: {error}") from None
    return axes


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _uid(path: Path) -> str:
    names = [path.stem, *reversed(path.parts[:-1])]
    name = next((name for name in names if name.lower() not in GENERIC), path.stem)
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)


def _read_notes(table: Path) -> dict[str, dict[str, str]]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        return {row["uid"]: row for row in csv.DictReader(file) if "uid" in row}


def _copy_tree(files: list[Path], base: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    with atomic_folder(target) as part:
        for file in files:
            copy = part / file.relative_to(base)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    return target
