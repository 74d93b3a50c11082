"""Reads the body of a PLY file of text, once, and refuses what Blender's importer takes for something else.

It puts 0 for what is no number, and the first vertex for one that is not there, without a word.
"""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from render.errors import Unrenderable
from render.named_files import shown_name
from render.ply import MAX_CORNERS, MAX_FLOAT, Element, PlyHeader, no_vertex, odd_face

ROWS = 50_000
"""Lines that are looked at together."""
NOT_FINITE = re.compile(rb"nan|inf", re.IGNORECASE)
Rows = Sequence[bytes]
"""Lines of one element, none of them blank."""


def check_text(path: Path, header: PlyHeader) -> None:
    """Raise Unrenderable when lines are missing, a position is no finite number or a face names no vertex.

    Args:
        path: The file.
        header: What its header says.
    """
    listed, before = sum(element.count for element in header.elements), 0
    with path.open("rb") as file:
        file.seek(header.num_bytes)
        for element in header.elements:
            for first in range(0, element.count, ROWS):
                wanted = min(ROWS, element.count - first)
                rows = list(itertools.islice(file, wanted))
                if len(rows) < wanted or any(map(bytes.isspace, rows)):
                    found = before + sum(not row.isspace() for row in itertools.chain(rows, file))
                    raise Unrenderable(_lines_fault(found, listed))
                before += wanted
                if element.positions:
                    _check_vertices(rows, first, element)
                elif element.corners is not None and element.corners is element.properties[0]:
                    _check_faces(rows, first, header.num_vertices, is_end=before == listed)


def _lines_fault(found: int, listed: int) -> str:
    if found < listed:
        return f"cut off: the file has {found} of {listed} lines of data; get it whole"
    return "there are blank lines between the lines of its data: take them out"


def _check_vertices(rows: Rows, first: int, element: Element) -> None:
    width, columns = len(element.properties), element.positions
    fields = list(map(bytes.split, rows))
    if set(map(len, fields)) == {width}:
        try:
            values = np.array(list(map(float, itertools.chain.from_iterable(fields)))).reshape(-1, width)
        except ValueError:  # in whatever column: below it is looked at which
            values = np.full((1, width), np.nan)
        if (np.abs(values[:, columns]) <= MAX_FLOAT).all():
            return
    for number, words in enumerate(fields, first):
        if len(words) < width:
            raise Unrenderable(f"vertex {number} has {len(words)} of {width} numbers: export it again")
        for column in columns:
            _check_coordinate(number, words[column])


def _check_coordinate(number: int, word: bytes) -> None:
    try:
        is_finite = abs(float(word)) <= MAX_FLOAT
    except ValueError:
        if not NOT_FINITE.search(word):
            raise Unrenderable(
                f"vertex {number} has the coordinate {shown(word)}, which is no number: export it again"
            ) from None
        is_finite = False
    if not is_finite:
        raise Unrenderable("vertices are not finite")


def _check_faces(rows: Rows, first: int, num_vertices: int, *, is_end: bool) -> None:
    if _are_alike_and_whole(rows, num_vertices):
        return
    for number, row in enumerate(rows, first):
        length, *corners = row.split()
        if not length.isdigit() or not 0 < int(length) <= MAX_CORNERS:
            raise odd_face(number, shown(length))
        corners = corners[: int(length)]
        if len(corners) < int(length):
            missing = f"{len(corners)} of {int(length)} corners"
            if is_end and row is rows[-1]:
                raise Unrenderable(f"cut off: the file has {missing} of its last face; get it whole")
            raise Unrenderable(f"face {number} has {missing}: export it again")
        for corner in corners:
            if not corner.isdigit() or int(corner) >= num_vertices:
                raise no_vertex(number, shown(corner), num_vertices)


def _are_alike_and_whole(rows: Rows, num_vertices: int) -> bool:
    """Tell of faces of equally many corners that each of them is a vertex; a tenth of the time of one by one."""
    fields = list(map(bytes.split, rows))
    width, length = len(fields[0]), fields[0][0]
    if not length.isdigit() or not 0 < int(length) < min(width, MAX_CORNERS + 1):
        return False
    if set(map(len, fields)) != {width}:
        return False
    lengths, *columns = zip(*fields, strict=True)
    if lengths.count(length) != len(rows):
        return False
    corners = list(itertools.chain.from_iterable(columns[: int(length)]))
    return all(map(bytes.isdigit, corners)) and max(map(int, corners)) < num_vertices


def shown(word: bytes) -> str:
    """Return a word of the file for a sentence."""
    return shown_name(word.decode(errors="replace"))
