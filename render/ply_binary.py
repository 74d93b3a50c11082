"""Reads the body of a binary PLY file and refuses what Blender's importer takes for something else.

It puts the first vertex for one that is not there, without a word.
"""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from render.errors import Unrenderable
from render.ply import BYTE_ORDERS, MAX_CORNERS, MAX_FLOAT, TYPES, Element, PlyHeader, no_vertex, odd_face

ROWS = 50_000
"""Faces whose corners are looked at together."""
Places = npt.NDArray[np.int64]


def check_binary(path: Path, header: PlyHeader) -> None:
    """Raise Unrenderable when bytes are missing, a position is not finite or a face names no vertex.

    Args:
        path: The file.
        header: What its header says.
    """
    size, least = path.stat().st_size, header.num_bytes + sum(element.least_bytes() for element in header.elements)
    if size < least:
        raise Unrenderable(f"cut off: the file has {size} of at least {least} bytes; get it whole")
    if not all(element.is_known for element in header.elements):
        return  # the importer says which type it does not know
    content, order, start = path.read_bytes(), BYTE_ORDERS[header.encoding], header.num_bytes
    for element in header.elements:
        if element.is_plain:
            kind = np.dtype([(f"{i}", order + TYPES[words[0]]) for i, words in enumerate(element.properties)])
            end = start + element.count * kind.itemsize
            if end > len(content):
                raise Unrenderable(f"cut off: the file has {len(content)} of at least {end} bytes; get it whole")
            if element.positions:
                _check_positions(np.frombuffer(content, kind, element.count, start), element)
            start = end
            continue
        places, lengths, start = _find_corners(content, element, start, order)
        if element.corners is not None:
            kind = np.dtype(order + TYPES[element.corners[2]])
            _check_corners(content, places, lengths, kind, header.num_vertices)


def _check_positions(values: npt.NDArray[np.void], element: Element) -> None:
    for column in element.positions:
        if not (np.abs(values[f"{column}"].astype(np.float64)) <= MAX_FLOAT).all():
            raise Unrenderable("vertices are not finite")


def _find_corners(content: bytes, element: Element, start: int, order: str) -> tuple[Places, Places, int]:
    """Return where the corners of each face begin and how many they are, and where the last face ends."""
    steps = [
        (
            struct.Struct(order + np.dtype(TYPES[words[1]]).char),
            np.dtype(TYPES[words[2]]).itemsize,
            words is element.corners,
        )
        if words[0] == "list"
        else (None, np.dtype(TYPES[words[0]]).itemsize, False)
        for words in element.properties
    ]
    places, lengths = [], []
    for number in range(element.count):
        for length_kind, size, holds_corners in steps:
            if length_kind is None:
                start += size
                continue
            if start + length_kind.size > len(content):
                raise _cut_off(element, number)
            length = int(length_kind.unpack_from(content, start)[0])
            if length < 0 or (holds_corners and not 0 < length <= MAX_CORNERS):
                raise odd_face(number, str(length))
            start += length_kind.size
            if holds_corners:
                places.append(start)
                lengths.append(length)
            start += length * size
        if start > len(content):
            raise _cut_off(element, number)
    return np.array(places, dtype=np.int64), np.array(lengths, dtype=np.int64), start


def _cut_off(element: Element, number: int) -> Unrenderable:
    return Unrenderable(f"cut off: the file ends inside of {element.name} {number} of {element.count}; get it whole")


def _check_corners(content: bytes, places: Places, lengths: Places, kind: np.dtype, num_vertices: int) -> None:
    stored = np.frombuffer(content, np.uint8)
    for length in np.unique(lengths):
        numbers = np.flatnonzero(lengths == length)
        for first in range(0, len(numbers), ROWS):
            some = numbers[first : first + ROWS]
            corners = stored[places[some, None] + np.arange(length * kind.itemsize)].view(kind)
            is_lost = (corners < 0) | (corners >= num_vertices)
            if is_lost.any():
                face, corner = np.argwhere(is_lost)[0]
                raise no_vertex(int(some[face]), str(corners[face, corner]), num_vertices)
