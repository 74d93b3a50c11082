"""Finds the code points (CICP) by which PNG, AVIF and HEIC tell their colours, which Pillow does not read.

Knows the boxes and chunks of files, not what the numbers mean (models/data/colour_spaces.py).
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from models.data.colour_spaces import Cicp
from models.data.png_chunks import PIXELS, PNG_START, png_chunks

LARGEST_BOX = 1 << 20
"""Bytes of the box `meta` that are looked at; it holds ICC profiles and a few numbers per tile."""


def code_points(file: BinaryIO) -> Cicp | None:
    """Return the code points of an image, None where it has none, or the file is of another format or damaged.

    Args:
        file: Open at its begin.
    """
    start = file.read(8)
    try:
        if start == PNG_START:
            return _of_png(file)
        if start[4:] == b"ftyp":
            file.seek(0)
            return _of_heif(file)
    except (struct.error, IndexError, ValueError):  # a part of it is missing, which whoever decodes it says
        pass
    return None


def _of_png(file: BinaryIO) -> Cicp | None:
    """Those of the chunk cICP, which stands before the pixels (PNG, third edition, 11.3.2.6)."""
    for kind, _ in png_chunks(file):
        if kind == PIXELS:
            break
        if kind == b"cICP":
            primaries, transfer, _, is_full_range = struct.unpack(">4B", file.read(4))
            return Cicp(primaries, transfer, bool(is_full_range))
    return None


def _of_heif(file: BinaryIO) -> Cicp | None:
    """Those of the primary item's property colr (ISO/IEC 23008-12, 6.5.5); a profile beside them precedes.

    Its pixels have the full range when they are decoded.
    """
    meta = dict(_boxes(_meta(file)[4:]))
    properties = dict(_boxes(meta[b"iprp"])) if b"iprp" in meta else {}
    if b"pitm" not in meta or b"ipma" not in properties or b"ipco" not in properties:
        return None
    version, item = meta[b"pitm"][0], meta[b"pitm"][4:]
    primary = int.from_bytes(item[:2] if version == 0 else item[:4], "big")
    listed, found = list(_boxes(properties[b"ipco"])), None
    for index in _associated(properties[b"ipma"], primary):
        kind, content = listed[index - 1]
        if kind == b"colr" and content[:4] == b"nclx":
            found = Cicp(*struct.unpack(">HH", content[4:8]))
        elif kind == b"colr":
            return None
    return found


def _meta(file: BinaryIO) -> bytes:
    """Content of the box `meta` of an ISO media file, empty where there is none."""
    while head := file.read(8):
        size, kind = struct.unpack(">I4s", head)
        if kind == b"meta":
            return file.read(min(size - 8, LARGEST_BOX))
        if size < 8:  # to the end of the file, or of 64 bits: media data, behind which nothing is looked for
            break
        file.seek(size - 8, 1)
    return b""


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the boxes that follow each other (ISO/IEC 14496-12, 4.2)."""
    while len(content) >= 8:
        size, kind = struct.unpack(">I4s", content[:8])
        if size < 8:
            return
        yield kind, content[8:size]
        content = content[size:]


def _associated(content: bytes, item: int) -> list[int]:
    """Numbers, from 1, of the properties of an item, by the box ipma (ISO/IEC 14496-12, 8.11.14)."""
    version, is_wide, place = content[0], bool(content[3] & 1), 8
    id_bytes, index_bytes = 2 if version == 0 else 4, 2 if is_wide else 1
    for _ in range(int.from_bytes(content[4:8], "big")):
        name = int.from_bytes(content[place : place + id_bytes], "big")
        place += id_bytes
        count = content[place]
        ends = place + 1 + count * index_bytes
        fields = [content[at : at + index_bytes] for at in range(place + 1, ends, index_bytes)]
        if name == item:
            essential = 1 << (8 * index_bytes - 1)
            numbers = (int.from_bytes(one, "big") & ~essential for one in fields)
            return [number for number in numbers if number]  # 0 stands for no property
        place = ends
    return []
