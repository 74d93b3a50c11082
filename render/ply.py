"""Reads of the headers of PLY files what Blender's importer does not tell, and mends what it does not know."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render.errors import Unrenderable

HEADER_BYTES = 64 * 1024
"""Headers end far before."""
TEXTURE = re.compile(r"^comment[ \t]+TextureFile[ \t]+(\S(?:.*\S)?)", re.IGNORECASE | re.MULTILINE)
ELEMENT = re.compile(r"^element\s+(\S+)\s+(\d+)\s*\n((?:(?:property|comment|obj_info)\b.*\n)*)", re.MULTILINE)
CORNERS = re.compile("vertex_ind(ex|ices)", re.IGNORECASE)
"""Names of the list of a face's vertices, of which there is at least one: some programs store edges so."""
SPLAT = "f_dc_0"
"""Property of every point of a Gaussian splat."""
RED = ("red", "r", "diffuse_red")
"""Names of the red of a colour; Blender's importer knows the first."""
USUAL = (b"red", b"green", b"blue")
COLOUR_NAMES = {name: usual for usual in USUAL for name in (usual, usual[:1], b"diffuse_" + usual)}
"""The usual name by others; the case of letters does not count."""
POSITION = ("x", "y", "z")
MAX_FLOAT = float(np.finfo(np.float32).max)
MAX_CORNERS = 255
"""Of a face; Blender's importer reads no more."""
BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}


@dataclass(frozen=True)
class Element:
    """A kind of thing that a PLY file lists: vertices, faces, edges, ..."""

    name: str
    count: int
    properties: tuple[tuple[str, ...], ...]
    """Words behind `property` of each: a type and a name; or `list`, the types of length and items, and a name."""

    @property
    def is_plain(self) -> bool:
        """Whether each has the same bytes: no lists, and known types."""
        return all(len(words) == 2 and words[0] in TYPES for words in self.properties)

    @property
    def is_known(self) -> bool:
        """Whether all properties are of known types."""
        return all(words[-2] in TYPES and words[:-2] in ((), ("list", words[1])) for words in self.properties)

    @property
    def corners(self) -> tuple[str, ...] | None:
        """The property of faces that lists their vertices: one that is called so, or the only one."""
        named = next(filter(is_corners, self.properties), None)
        only = self.properties[0] if len(self.properties) == 1 and self.properties[0][0] == "list" else None
        return (named or only) if self.name == "face" else None

    @property
    def has_positions(self) -> bool:
        """Whether there are properties x, y and z."""
        return {words[-1] for words in self.properties} >= set(POSITION)

    @property
    def positions(self) -> list[int]:
        """Columns of x, y and z of plain vertices; empty for others."""
        names = [words[-1] for words in self.properties]
        is_vertex = self.name == "vertex" and self.is_plain and self.has_positions
        return [names.index(name) for name in POSITION] if is_vertex else []

    def least_bytes(self) -> int:
        """Return the fewest bytes of all together in a binary file, at least one each."""
        return self.count * max(1, sum(map(_least_bytes, self.properties)))


def no_vertex(face: int, named: str, num_vertices: int) -> Unrenderable:
    """Return the error for a face that names a vertex that is not there."""
    return Unrenderable(
        f"face {face} names the vertex {named}, but the file has {num_vertices}, counted from 0: export it again"
    )


def odd_face(face: int, length: str) -> Unrenderable:
    """Return the error for a face of a number of corners that Blender's importer ends at."""
    return Unrenderable(f"face {face} has {length} corners, and 1 to {MAX_CORNERS} are read: triangulate it")


def is_corners(words: tuple[str, ...]) -> bool:
    """Tell whether a property, by the words behind `property`, is the list of a face's vertices."""
    return words[0] == "list" and len(words) == 4 and CORNERS.fullmatch(words[-1]) is not None


def _least_bytes(words: tuple[str, ...]) -> int:
    sizes = [np.dtype(TYPES[word]).itemsize for word in words[:-1] if word in TYPES]
    if words[0] != "list" or len(sizes) != 2:
        return sum(sizes)
    length, item = sizes
    return length + (item if is_corners(words) else 0)


@dataclass(frozen=True)
class PlyHeader:
    """What the header of a PLY file says."""

    num_bytes: int
    """Length of the header."""
    encoding: str
    """ascii, binary_little_endian or binary_big_endian."""
    elements: tuple[Element, ...]
    """In the order of the file."""
    colours: str
    """Whose colours there are and what their red is called, such as `vertex red` or `face r`; empty: none."""
    textures: tuple[str, ...]
    """Names of the texture files, as MeshLab and photogrammetry programs write them into comments."""

    @property
    def num_vertices(self) -> int:
        """Number of vertices."""
        return self._count("vertex")

    @property
    def num_faces(self) -> int:
        """Number of faces, of any number of corners."""
        return self._count("face")

    @property
    def properties(self) -> tuple[tuple[str, ...], ...]:
        """Type and name of each property of a vertex; empty where vertices do not come first or have lists."""
        first = self.elements[0] if self.elements else None
        return first.properties if first is not None and first.name == "vertex" and first.is_plain else ()

    def _count(self, name: str) -> int:
        return sum(element.count for element in self.elements if element.name == name)

    @property
    def is_splat(self) -> bool:
        """Whether the vertices are those of a Gaussian splat."""
        return any(name == SPLAT for _, name in self.properties)


def read_ply_header(path: Path) -> PlyHeader:
    """Return what the header says; of a file that is no PLY file, that there is nothing."""
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    header, end, rest = start.partition(b"end_header")
    text = header.decode("utf-8", "replace").replace("\r\n", "\n") if start.startswith(b"ply") and end else ""
    encoding = re.search(r"^format\s+(\S+)", text, re.MULTILINE)
    return PlyHeader(
        num_bytes=len(header) + len(end) + rest.find(b"\n") + 1,
        encoding=encoding[1] if encoding else "",
        elements=tuple(_element(*found.groups()) for found in ELEMENT.finditer(text)),
        colours=_colours(text),
        textures=tuple(TEXTURE.findall(text)),
    )


def _element(name: str, count: str, lines: str) -> Element:
    rows = [line.split()[1:] for line in lines.splitlines() if line.startswith("property")]
    return Element(name, int(count), tuple(tuple(row) for row in rows if len(row) > 1))


def _colours(text: str) -> str:
    element = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["element"]:
            element = words[1]
        if words[:1] == ["property"] and words[-1].lower() in RED and element in ("vertex", "face"):
            return f"{element} {words[-1]}"
    return ""


def with_usual_colour_names(content: bytes) -> bytes:
    """Return a PLY file whose colours are called red, green and blue, as Blender's importer wants them."""
    header, end, rest = content.partition(b"end_header")
    for name, usual in COLOUR_NAMES.items():
        header = re.sub(rb"(?mi)^(property\s+\w+\s+)%b(\s*)$" % name, rb"\g<1>%b\2" % usual, header)
    return header + end + rest
