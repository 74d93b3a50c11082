"""Finds the file that a name in an OBJ, MTL, glTF or PLY file means.

Such names were written on another computer, by one of many programs. What Blender's importer of OBJ finds is found here
too (wavefront_obj/importer/obj_import_mtl.cc, load_texture_image: beside the library, by absolute path, by its last
part), and what importers miss: other cases of letters, other codes, comments and options behind the name. A file beside
the library goes before one of an absolute path, so that a copied object does not look at where it came from.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from render.named_files import folded, leads_to_file

DRIVE = re.compile(r"^[A-Za-z]:(?=/)")
COMMENT = re.compile(r"\s#.*$")
OPTIONS_BEHIND = re.compile(r"\s-[a-zA-Z]\w*(?:\s.*)?$")
TEXTURE_FOLDERS = ("textures", "../textures")
"""Where Sketchfab puts what a library names as if it lay beside it."""
LEGACY_CODES = ("cp1252", "gb18030", "shift_jis")
"""Codes of file names in archives and libraries that Windows programs wrote, besides UTF-8."""


@dataclass(frozen=True)
class Found:
    """A file that a name means."""

    path: Path
    place: Path
    """Where a copy of it is found by the same name: its own path, or, where an absolute path led to it, beside the
    file that names it."""


def find_file(name: str, folders: Sequence[Path], *, absolute: bool) -> Found | None:
    """Return the file that `name` means, or None.

    Args:
        name: As written, with quotes, backslashes and what may follow it; decoded by os.fsdecode.
        folders: The folder of the file that holds the name, then others from which names may count.
        absolute: Whether an absolute path may be followed.
    """
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can hold it, the name of a file cannot
        return None
    spellings = list(dict.fromkeys(spelling for spelling in _spellings(name) if spelling))
    relatives = list(dict.fromkeys(relative for spelling in spellings for relative in _relative_names(spelling)))
    places = [folder / relative for relative in relatives for folder in folders]
    if path := next((path for path in map(_normal, places) if leads_to_file(path)), None):
        return Found(path, path)
    if absolute and (path := next((path for path in map(_rooted, spellings) if path and leads_to_file(path)), None)):
        return Found(path, folders[0] / path.name)
    known: dict[Path, dict[str, str]] = {}
    loose = (_find_loosely(folder, relative, known) for relative in relatives for folder in folders)
    path = next((path for path in loose if path), None)
    return Found(path, path) if path else None


def named_file(main: Path, name: str) -> Path:
    """Return the file that a name in a glTF or PLY file means; where there is none, the path that is written.

    Args:
        main: The file that holds the name.
        name: As written, without the escapes of a URI.
    """
    written = main.parent / name
    if leads_to_file(written) and not Path(name).is_absolute():
        return written
    found = find_file(name, [main.parent], absolute=False)
    return found.path if found else written


def last_part(name: str) -> str:
    """Return the file's name in a path of Windows or Unix, without quotes."""
    return _spelled(name).rpartition("/")[2]


def _spelled(name: str) -> str:
    return name.replace('"', "").replace("\\", "/").strip()


def _spellings(name: str) -> Iterator[str]:
    """Yield the name as written, then as it may have been meant."""
    yield name.replace('"', "").strip()
    plain = _spelled(name)
    yield plain
    yield plain.strip("'")
    for without in (COMMENT.sub("", plain), OPTIONS_BEHIND.sub("", plain)):
        yield without.strip()
    yield unquote(plain)
    yield quote(os.fsencode(plain))
    yield plain.replace("_", " ")
    yield plain.replace(" ", "_")


def _relative_names(spelling: str) -> Iterator[str]:
    """Yield paths from a folder: the whole, the last part alone, then more and more of its last parts."""
    yield spelling.lstrip("/")
    parts = [part for part in DRIVE.sub("", spelling).split("/") if part not in ("", ".")]
    inside = parts[len(parts) - parts[::-1].index("..") :] if ".." in parts else parts
    for count in range(1, len(inside) + 1):
        yield "/".join(inside[-count:])
    for folder in TEXTURE_FOLDERS:
        yield "/".join([folder, *inside[-1:]])


def _rooted(spelling: str) -> Path | None:
    path = _normal(Path(DRIVE.sub("", spelling)))
    return path if path.is_absolute() else None


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _find_loosely(folder: Path, relative: str, known: dict[Path, dict[str, str]]) -> Path | None:
    """Return the file of a path whose parts may be written in other cases or codes than on the disk.

    `known` keeps the names in each folder that was looked into.
    """
    path = folder
    for part in relative.split("/"):
        if part in ("", ".", ".."):
            path = path if part != ".." else path.parent
            continue
        names = known[path] = known.get(path) or _names_in(path)
        match = next((names[key] for key in _keys(part) if key in names), None)
        if match is None:
            return None
        path = path / match
    return path if leads_to_file(path) else None


def _names_in(folder: Path) -> dict[str, str]:
    """Return the names in a folder by what they are equal by; none where there is no such folder."""
    try:
        entries = sorted(path.name for path in folder.iterdir())
    except OSError:
        return {}
    return {key: entry for entry in reversed(entries) for key in _keys(entry)}


def _keys(name: str) -> list[str]:
    """Return what names are equal by: letters without case, composed, in each code that the bytes may be of."""
    readings = [name]
    for code in () if name.isascii() else LEGACY_CODES:
        with suppress(UnicodeDecodeError):
            readings.append(os.fsencode(name).decode(code))
    return [folded(reading) for reading in readings]
