"""Imports Collada files; the importer drops a texture that it does not find without a word."""

import re
import tempfile
from pathlib import Path, PureWindowsPath
from urllib.parse import quote, unquote

import bpy

from render.errors import Unrenderable
from render.named_files import MAX_SHOWN, folded, leads_to_file, shown_name

INIT_FROM = re.compile(
    rb"(<image\b[^<>]*>(?:(?!</?image\b).)*?<init_from>\s*+(?:<ref>\s*+)?)([^<]*[^<\s])(\s*<)", re.DOTALL
)
"""The file of an image; elsewhere the same element names an image's id. No pattern looks beyond the element that it
begins in, which on a damaged file would take the square of its length."""

POSITIONS = re.compile(rb"""<input\b(?=[^<>]*["']POSITION["'])[^<>]*?\bsource\s*=\s*["']#([^"'<>]+)""")
"""The name of a list of positions."""
NUMBERS = re.compile(rb"""<source\b(?>[^<>]*?\bid\s*=\s*["']([^"'<>]+))[^<>]*>\s*<float_array\b([^<>]*)>([^<]*)<""")
"""Name, attributes and text of a list of numbers."""
COUNT = re.compile(rb"""\bcount\s*=\s*["'](\d+)""")
ODD = re.compile(rb"[^-+.\deE\s]\S*")
"""The rest of a word from the first letter on that no number has."""


def import_dae(path: Path) -> None:
    """Add the content of a Collada file to the scene; an image that is not there has no pixels.

    An image is where the file says or else, by its name whatever the case, below the file's folder.

    Raises Unrenderable when positions are cut off or no numbers: the importer leaves such a mesh out.
    """
    content = path.read_bytes()
    names = {found[1] for found in POSITIONS.finditer(content)}
    for numbers in NUMBERS.finditer(content):
        if numbers[1] in names:
            require_numbers(numbers[2], numbers[3])
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / path.name
        staged.write_bytes(INIT_FROM.sub(lambda named: with_place(named, path.parent, Path(folder)), content))
        bpy.ops.wm.collada_import(filepath=str(staged))


def require_numbers(attributes: bytes, numbers: bytes) -> None:
    """Raise Unrenderable unless the text of a `float_array` holds finite numbers, as many as its attributes say."""
    if odd := ODD.search(numbers):
        shown = shown_name(odd[0].decode(errors="replace"))
        raise Unrenderable(f"the positions of a mesh hold '{shown}', which is no finite number: export it again")
    listed, stored = COUNT.search(attributes), len(numbers.split())
    if listed and stored < int(listed[1]):
        raise Unrenderable(f"the positions of a mesh are cut off: {stored} of {int(listed[1])} numbers; get it whole")


def with_place(named: re.Match[bytes], folder: Path, empty: Path) -> bytes:
    """Return a reference to an image as one to its place, or to a file in `empty` that has its name and no content."""
    name = unquote(named[2].decode("utf-8", "replace")).removeprefix("file://")
    file = folder / name.replace("\\", "/")
    if not leads_to_file(file):
        last = PureWindowsPath(name).name
        alike = sorted(other for other in folder.rglob("*") if folded(other.name) == folded(last))
        file = alike[0] if alike else empty / last[:MAX_SHOWN]
        if not alike:
            file.touch()
    return named[1] + quote(str(file.absolute())).encode() + named[3]
