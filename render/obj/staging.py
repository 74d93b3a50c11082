"""Lays an OBJ file out so that Blender's importer finds everything that the file means, and nothing else."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from render.obj.links import Links, read_links, statements
from render.obj.lookup import Found, last_part
from render.obj.materials import library
from render.obj.text import read_text
from render.obj.vertices import checked, with_all_colours

DEPTH = 12
"""Folders between the temporary one and the staged file, so that `mtllib ../../x.mtl` leads to none of this machine."""
ABSENT = "absent"
"""Folder that does not exist, in which textures that are not found are named."""


@dataclass(frozen=True)
class Staged:
    """An OBJ file that Blender's importer may be given."""

    path: Path
    missing_libraries: tuple[str, ...]
    has_faces: bool
    """Whether the file names faces, be they possible or not."""


@contextmanager
def staged(path: Path) -> Iterator[Staged]:
    """Give the OBJ file at `path` a library of its name with the absolute paths of all textures, for a while.

    Raises Unrenderable when the file is no OBJ file, a position is not finite or numbers are written with commas.
    """
    text = read_text(path)
    links = read_links(path, text.content)
    content = with_all_colours(checked(text.content))
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root).joinpath(*["x"] * DEPTH)
        folder.mkdir(parents=True)
        copy = folder / "object.obj"
        if links.implied is not None:
            content = b"usemtl " + links.implied + b"\n" + content
        if text.is_stored and content is text.content:
            copy.symlink_to(path.absolute())
        else:
            copy.write_bytes(content)
        copy.with_suffix(".mtl").write_bytes(library(links.materials, _paths(links, folder)))
        yield Staged(copy, links.missing_libraries, any(True for _ in statements(content, b"f")))


def _paths(links: Links, folder: Path) -> dict[tuple[bytes, str], Path]:
    return {key: _path(key[1], found, folder) for key, found in links.textures.items()}


def _path(name: str, found: Found | None, folder: Path) -> Path:
    """Return the file of a texture, or one that is not there and whose name says which is missing."""
    return found.path if found else folder / ABSENT / last_part(name)
