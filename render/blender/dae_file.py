"""Imports Collada files; the importer drops a texture that it does not find without a word."""

import re
import tempfile
from pathlib import Path, PureWindowsPath
from urllib.parse import quote, unquote

import bpy

from render.formats import IMAGE_SUFFIXES

INIT_FROM = re.compile(rb"(<init_from>\s*(?:<ref>)?\s*)([^<]+?)(\s*<)")


def import_dae(path: Path) -> None:
    """Add the content of a Collada file to the scene; an image that is not there has no pixels.

    An image is where the file says or else, by its name whatever the case, below the file's folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / path.name
        staged.write_bytes(INIT_FROM.sub(lambda named: with_place(named, path.parent, Path(folder)), path.read_bytes()))
        bpy.ops.wm.collada_import(filepath=str(staged))


def with_place(named: re.Match[bytes], folder: Path, empty: Path) -> bytes:
    """Return a reference to an image as one to its place, or to a file in `empty` that has its name and no content."""
    name = unquote(named[2].decode("utf-8", "replace")).removeprefix("file://")
    if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        return named[0]  # to an image's id, not to a file
    file = folder / name.replace("\\", "/")
    if not file.is_file():
        last = PureWindowsPath(name).name
        alike = sorted(other for other in folder.rglob("*") if other.name.lower() == last.lower())
        file = alike[0] if alike else empty / last
        if not alike:
            file.touch()
    return named[1] + quote(str(file.absolute())).encode() + named[3]
