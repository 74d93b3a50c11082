"""Imports Collada files; the importer drops a texture that it does not find without a word."""

import re
import tempfile
from pathlib import Path, PureWindowsPath
from urllib.parse import quote, unquote

import bpy

from render.named_files import MAX_SHOWN, leads_to_file

INIT_FROM = re.compile(rb"(<image\b[^>]*>(?:(?!</image>).)*?<init_from>\s*(?:<ref>)?\s*)([^<]+?)(\s*<)", re.DOTALL)
"""The file of an image; elsewhere the same element names an image's id."""


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
    file = folder / name.replace("\\", "/")
    if not leads_to_file(file):
        last = PureWindowsPath(name).name
        alike = sorted(other for other in folder.rglob("*") if other.name.lower() == last.lower())
        file = alike[0] if alike else empty / last[:MAX_SHOWN]
        if not alike:
            file.touch()
    return named[1] + quote(str(file.absolute())).encode() + named[3]
