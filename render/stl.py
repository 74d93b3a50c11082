"""Tells whether an STL file is whole: Blender's importer shows what a cut-off one still holds, or nothing."""

import struct
from pathlib import Path

from render.errors import Unrenderable

HEADER_BYTES, TRIANGLE_BYTES = 84, 50
"""Of a binary file: a comment of 80 bytes and the number of triangles, then each triangle."""
TAIL_BYTES = 4096
ENDFACET, ENDSOLID = b"endfacet", b"endsolid"
"""What a text file ends with; programs forget the second, and write comments behind it."""


def check_stl(path: Path) -> None:
    """Raise Unrenderable when an STL file has fewer or more bytes than its triangles take, or as text ends in one.

    A file is binary when its size fits the number of triangles that it names, whatever it begins with: programs begin
    binary files with `solid` too.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read().strip(b"\0 \t\r\n").lower()
    count = struct.unpack_from("<I", head, HEADER_BYTES - 4)[0] if len(head) == HEADER_BYTES else 0
    if count and size == HEADER_BYTES + count * TRIANGLE_BYTES:
        return
    if b"\0" in head or not any(word in head.lower() for word in (b"solid", b"facet")):
        raise Unrenderable(
            f"the STL file names {count} triangles, which take {HEADER_BYTES + count * TRIANGLE_BYTES} bytes, but has "
            f"{size} bytes: it is cut off or no STL file; fetch or export it again"
        )
    if ENDSOLID not in tail and not (tail.splitlines() or [b""])[-1].strip().startswith(ENDFACET):
        raise Unrenderable("the STL file ends inside of a triangle: it is cut off; fetch or export it again")
