"""The kinds of files that objects come in, in one table."""

from dataclasses import dataclass
from pathlib import Path

from render.axes import UpAxis
from render.errors import Unrenderable


@dataclass(frozen=True)
class Format:
    """A kind of file that Blender imports."""

    up_axis: UpAxis
    """Axis of the file that the importer turns up: by the format's standard or, where it has none, by custom."""


FORMATS = {
    ".glb": Format(up_axis="Y"),
    ".gltf": Format(up_axis="Y"),
    ".obj": Format(up_axis="Y"),
}
OBJECT_SUFFIXES = tuple(FORMATS)
"""Endings of the files that can be an object, in lower case."""


def format_of(path: Path) -> Format:
    """Return the format of a file by its ending.

    Raises Unrenderable when there is no such format.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise Unrenderable(f"files of kind '{kind}' are not read; convert it to GLB, glTF or OBJ")
    return FORMATS[kind]
