"""Finds the other files that a glTF, GLB or OBJ file refers to, by name; whether they can be read Blender decides."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from render import gltf

_TEXTURE = re.compile(r"(?:map_\w+|bump|disp|decal|refl|norm)\s+(.+)", re.IGNORECASE)
_OPTION = re.compile(r"-[a-zA-Z]\w*(?:\s+(?:on|off|[-+.\d]\S*|[rgbmlz]|sphere|cube_\w+))*\s+", re.IGNORECASE)
"""An option of a texture statement with its values, e.g. `-bm 0.5`, `-o 0 0 0`, `-clamp on`."""


def side_files(main: Path, root: Path) -> list[Path]:
    """Return the existing files below `root` that `main` refers to, directly or through a material file, sorted.

    Names that lead out of `root`, or to nothing, are left out: the renderer reports what is missing.
    A file that cannot be parsed refers to nothing.
    """
    found: set[Path] = set()
    waiting = [main]
    while waiting:
        referring = waiting.pop()
        for name in _references(referring):
            path = Path(os.path.normpath(referring.parent / name))
            if path.is_relative_to(root) and path.is_file() and path not in found | {main}:
                found.add(path)
                waiting.append(path)
    return sorted(found)


def _references(path: Path) -> Iterator[str]:
    readers: dict[str, Callable[[Path], Iterator[str]]] = {
        ".glb": _of_gltf,
        ".gltf": _of_gltf,
        ".obj": _of_obj,
        ".mtl": _of_mtl,
    }
    reader = readers.get(path.suffix.lower())
    return reader(path) if reader else iter(())


def _of_gltf(path: Path) -> Iterator[str]:
    """Yield the names of the buffers and images that are neither embedded nor remote."""
    try:
        document = gltf.read_document(path)
        parts = [*document.get("buffers", []), *document.get("images", [])]
        uris = [part.get("uri", "") for part in parts]
    except (ValueError, AttributeError, TypeError):
        return
    yield from (unquote(uri) for uri in uris if uri and not urlsplit(uri).scheme)


def _of_obj(path: Path) -> Iterator[str]:
    for line in _lines(path):
        if line.startswith("mtllib "):
            yield from _names(line.removeprefix("mtllib "), path.parent)


def _of_mtl(path: Path) -> Iterator[str]:
    for line in _lines(path):
        if match := _TEXTURE.fullmatch(line):
            yield _OPTION.sub("", match[1])


def _names(text: str, folder: Path) -> list[str]:
    """Return the text as one name with blanks if such a file exists, else as several names."""
    return [text] if (folder / text).is_file() else text.split()


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            yield line.strip()
