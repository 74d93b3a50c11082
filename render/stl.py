"""Tells whether an STL file is whole: Blender's importer shows what is left of a damaged one, or nothing."""

import re
import struct
from pathlib import Path

from render.errors import Unrenderable

HEADER_BYTES, TRIANGLE_BYTES = 84, 50
"""Of a binary file: a comment of 80 bytes and the number of triangles, then each triangle."""
TAIL_BYTES = 4096
ENDFACET, ENDSOLID = b"endfacet", b"endsolid"
"""What a text file ends with; programs forget the second, and write comments behind it."""
VERTEX, ENDLOOP = b"vertex", b"endloop"
NUMBER = rb"[-+.\deE]++"
ODD = re.compile(rb"\n[ \t]*+(vertex[ \t]++(?!%b[ \t]++%b[ \t]++%b\s)[^\n]*)" % (NUMBER, NUMBER, NUMBER))
"""A vertex without three numbers."""
NOT_FINITE = re.compile(rb"nan|inf", re.IGNORECASE)


def check_stl(path: Path) -> None:
    """Raise Unrenderable when an STL file has fewer or more bytes than its triangles take, or as text is damaged.

    A file is binary when its size fits the number of triangles that it names, whatever it begins with: programs begin
    binary files with `solid` too.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read().strip(b"\0 \t\r\n").lower()
    count = num_triangles(head)
    if size == HEADER_BYTES and not count:
        raise Unrenderable("no faces: the STL file names 0 triangles")
    if is_binary(head, size):
        return
    if b"\0" in head or not any(word in head.lower() for word in (b"solid", b"facet")):
        raise Unrenderable(
            f"the STL file names {count} triangles, which take {HEADER_BYTES + count * TRIANGLE_BYTES} bytes, but has "
            f"{size} bytes: it is cut off or no STL file; fetch or export it again"
        )
    if ENDSOLID not in tail and not (tail.splitlines() or [b""])[-1].strip().startswith(ENDFACET):
        raise Unrenderable("the STL file ends inside of a triangle: it is cut off; fetch or export it again")
    _check_text(plain_text(path) or path.read_bytes())


def num_triangles(head: bytes) -> int:
    """Return how many triangles the beginning of a file names, if it is binary."""
    return int(struct.unpack_from("<I", head, HEADER_BYTES - 4)[0]) if len(head) >= HEADER_BYTES else 0


def is_binary(head: bytes, size: int) -> bool:
    """Tell whether a file of `size` bytes is as large as the triangles take that its beginning names."""
    return size == HEADER_BYTES + num_triangles(head) * TRIANGLE_BYTES


def plain_text(path: Path) -> bytes | None:
    """Return the content of a text file in small letters and with line feeds; None where Blender reads the file itself.

    Blender's importer knows no other words than small ones, and no lines of old Macs.
    """
    with path.open("rb") as file:
        head = file.read(TAIL_BYTES)
    if is_binary(head, path.stat().st_size) or (VERTEX in head and b"\n" in head):
        return None
    return path.read_bytes().lower().replace(b"\r", b"\n")


def _check_text(content: bytes) -> None:
    odd = next((match[1] for match in ODD.finditer(content) if not NOT_FINITE.search(match[1])), None)
    if odd is not None:
        shown = odd.decode(errors="replace").strip()[:60]
        raise Unrenderable(f"a vertex of the STL file has no three numbers ('{shown}'): export it again")
    num_vertices, num_loops = content.count(VERTEX), content.count(ENDLOOP)
    if num_vertices < 3 * num_loops:
        raise Unrenderable(
            f"the STL file has {num_vertices} vertices for {num_loops} triangles: it is damaged; export it again"
        )
