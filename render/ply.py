"""Reads of PLY files what Blender's importer does not tell: the texture's name, and positions before it mends them."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 64 * 1024
"""Headers end far before."""
TEXTURE = re.compile(r"^comment\s+TextureFile\s+(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
VERTICES = re.compile(r"^element\s+vertex\s+(\d+)\s*\n((?:(?:property|comment)\s.*\n)*)", re.MULTILINE)
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
class PlyHeader:
    """What the header of a PLY file says."""

    num_bytes: int
    """Length of the header."""
    encoding: str
    """ascii, binary_little_endian or binary_big_endian."""
    num_vertices: int
    properties: tuple[tuple[str, str], ...]
    """Type and name of each property of a vertex; empty where vertices do not come first or have lists."""
    num_faces: int
    colours: str
    """Whose colours there are and what their red is called, such as `vertex red` or `face r`; empty: none."""
    textures: tuple[str, ...]
    """Names of the texture files, as MeshLab and photogrammetry programs write them into comments."""

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
    encoding, faces = (re.search(what, text, re.MULTILINE) for what in (r"^format\s+(\S+)", r"^element\s+face\s+(\d+)"))
    vertices = VERTICES.search(text)
    is_first = vertices is not None and "\nelement" not in text[: vertices.start()]
    words = [line.split() for line in vertices[2].splitlines() if line.startswith("property")] if vertices else []
    is_plain = is_first and all(len(row) == 3 and row[1] in TYPES for row in words)
    return PlyHeader(
        num_bytes=len(header) + len(end) + rest.find(b"\n") + 1,
        encoding=encoding[1] if encoding else "",
        num_vertices=int(vertices[1]) if vertices else 0,
        properties=tuple((row[1], row[2]) for row in words) if is_plain else (),
        num_faces=int(faces[1]) if faces else 0,
        colours=_colours(text),
        textures=tuple(TEXTURE.findall(text)),
    )


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
