"""Reads of PLY files what Blender's importer does not tell: the texture's name, what is cut off, what it mends."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 64 * 1024
"""Headers end far before."""
TEXTURE = re.compile(r"^comment\s+TextureFile\s+(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
ELEMENT = re.compile(r"^element\s+(\S+)\s+(\d+)\s*\n((?:(?:property|comment)\s.*\n)*)", re.MULTILINE)
CORNERS = re.compile("vertex_ind(ex|ices)", re.IGNORECASE)
"""Names of the list of a face's vertices, of which there are at least three."""
SPLAT = "f_dc_0"
"""Property of every point of a Gaussian splat."""
RED = ("red", "r", "diffuse_red")
"""Names of the red of a colour; Blender's importer knows the first."""
USUAL = (b"red", b"green", b"blue")
COLOUR_NAMES = {name: usual for usual in USUAL for name in (usual, usual[:1], b"diffuse_" + usual)}
"""The usual name by others; the case of letters does not count."""
NOT_FINITE = re.compile(rb"nan|inf", re.IGNORECASE)
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
    def is_list(self) -> bool:
        """Whether each begins with a list, as faces do."""
        return bool(self.properties) and self.properties[0][0] == "list"

    def least_bytes(self) -> int:
        """Return the fewest bytes of all together in a binary file, at least one each."""
        return self.count * max(1, sum(map(_least_bytes, self.properties)))


def _least_bytes(words: tuple[str, ...]) -> int:
    sizes = [np.dtype(TYPES[word]).itemsize for word in words[:-1] if word in TYPES]
    if words[0] != "list" or len(sizes) != 2:
        return sum(sizes)
    length, item = sizes
    return length + (3 * item if CORNERS.fullmatch(words[-1]) else 0)


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


def missing_end(path: Path, header: PlyHeader) -> str:
    """Say how much of what its header lists a file has, as "512 of at least 620 bytes"; empty: it seems to be whole.

    In a binary file a face counts as a triangle; of text the lines are counted, and the corners of the last face.
    """
    if header.encoding not in BYTE_ORDERS:
        return _missing_text(path, header)
    size, least = path.stat().st_size, header.num_bytes + sum(element.least_bytes() for element in header.elements)
    return f"{size} of at least {least} bytes" if size < least else ""


def _missing_text(path: Path, header: PlyHeader) -> str:
    listed, found, last = sum(element.count for element in header.elements), 0, b""
    with path.open("rb") as file:
        file.seek(header.num_bytes)
        for line in file:
            if line.strip():
                found, last = found + 1, line
    if found < listed:
        return f"{found} of {listed} lines of data"
    length, *corners = last.split() or [b""]
    ends_in_face = found == listed and header.elements and header.elements[-1].is_list
    is_short = ends_in_face and length.isdigit() and len(corners) < int(length)
    return f"{len(corners)} of {int(length)} corners of its last face" if is_short else ""


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


def has_finite_positions(path: Path, header: PlyHeader) -> bool:
    """Tell whether every position is finite; Blender's importer puts 0 for one that is not.

    Positions of files with another order of elements than vertices first are not looked at.
    """
    names = [name for _, name in header.properties]
    if not {"x", "y", "z"} <= set(names):
        return True
    with path.open("rb") as file:
        file.seek(header.num_bytes)
        if header.encoding == "ascii":
            columns = [names.index(name) for name in "xyz"]
            rows = (next(file, b"") for _ in range(header.num_vertices))
            suspects = (row.split() for row in rows if NOT_FINITE.search(row))
            return not any(
                NOT_FINITE.search(row[column]) for row in suspects for column in columns if column < len(row)
            )
        order = BYTE_ORDERS.get(header.encoding, "<")
        kind = np.dtype([(name, order + TYPES[word]) for word, name in header.properties])
        content = file.read(header.num_vertices * kind.itemsize)
    values: npt.NDArray[np.void] = np.frombuffer(content, kind, len(content) // kind.itemsize)
    return all(bool(np.isfinite(values[name]).all()) for name in "xyz")
