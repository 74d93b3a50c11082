"""Chunks of PNG files, for what Pillow does not look at: the check sums of pixels, and kinds that it does not know."""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from models.data.file_kinds import AGAIN

PNG_START = b"\x89PNG\r\n\x1a\n"
PIXELS, END = b"IDAT", b"IEND"
PIECE = 1 << 20
"""Bytes that are read at once, whatever a chunk claims to have."""


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield kind and size of each chunk up to the last, the file open at its content (PNG, third edition, 5.3).

    What is read meanwhile does not matter. Nothing is raised where the file is cut off.
    """
    place = len(PNG_START)
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head)
        yield kind, size
        if kind == END:
            return
        place += 12 + size


def check_pixels(file: BinaryIO) -> None:
    """Raise ValueError for a PNG whose pixels are not those that were stored; Pillow would show others."""
    for kind, size in png_chunks(file):
        if kind != PIXELS:
            continue
        found = zlib.crc32(kind)
        while piece := file.read(min(PIECE, size)):
            found, size = zlib.crc32(piece, found), size - len(piece)
        stored = file.read(4)
        if len(stored) == 4 and found != int.from_bytes(stored, "big"):
            raise ValueError(f"is damaged: the check sum of its pixels is another than it should be; {AGAIN}")
