"""Tells whether a downloaded file can be an object at all, and whose fault it is when it cannot."""

from dataclasses import dataclass
from pathlib import Path

from render import gltf
from render.lfs import REMEDY, is_lfs_pointer

MAX_PATH = 4096
"""Bytes of the longest path of a file."""


@dataclass(frozen=True)
class Defect:
    """Why a file cannot be an object."""

    reason: str
    is_of_the_server: bool = False
    """Whether the server sent something else in place of the file, so that it may send the file another time."""


def find_defect(main: Path) -> Defect | None:
    """Return what is wrong with an object's main file; None when nothing is.

    An empty file, a git-LFS pointer and, of GLB files, whatever contradicts their header or table of chunks. Which of
    its two containers a glTF file has says its content, not its name, as its importer sees it.
    """
    if main.stat().st_size == 0:
        return Defect("the file is empty")
    if is_lfs_pointer(main):
        return Defect(REMEDY, is_of_the_server=True)
    kind = main.suffix.lower()
    is_binary = kind in (".glb", ".gltf") and gltf.is_binary(main)
    return _glb_defect(main) if is_binary or (kind == ".glb" and not gltf.is_json(main)) else None


def _glb_defect(main: Path) -> Defect | None:
    size = main.stat().st_size
    try:
        version, length = gltf.read_header(main)
    except ValueError as error:
        link = _link_as_text(main)
        return Defect(link) if link else Defect(str(error), is_of_the_server=_is_markup(main))
    if version != 2:
        return Defect(f"GLB version {version}; only 2 can be read")
    if length != size:
        return Defect(f"GLB of {length} bytes according to its header, {size} in fact")
    try:
        gltf.check_chunks(main)
    except ValueError as error:
        return Defect(str(error))
    return None


def _is_markup(main: Path) -> bool:
    """Whether a file begins as a web page or an error message in XML does."""
    with main.open("rb") as file:
        return file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _link_as_text(path: Path) -> str | None:
    """Return what is wrong with a file that holds nothing but a path: what git and archives make of links."""
    if path.stat().st_size > MAX_PATH:
        return None
    text = path.read_bytes().decode("utf-8", "replace")
    if not text.isprintable() or Path(text).suffix.lower() != path.suffix:
        return None
    return (
        f"the file is nothing but the text {text!r}: a link that was stored as text; make it a link, or put the file "
        "in its place"
    )
