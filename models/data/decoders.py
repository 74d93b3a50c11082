"""How much of an image a decoder may be asked for: some keep many bytes a pixel, and one can leave out detail."""

import re
from pathlib import Path

from PIL import Image, Jpeg2KImagePlugin

from models.data.tiff_kinds import bits_of

COSTLY = {"AVIF": 160, "moving WebP": 110, "TIFF of 16 bits": 150, "JPEG 2000": 75}
"""Megapixels of formats whose decoders take 11, 16, 12 and 24 bytes a pixel at the worst, so that none takes 2 GB."""
MOST_HEADER = 1 << 22
"""Bytes of a file in which the header of a JPEG 2000 codestream is looked for; colour profiles lie before it."""
CODESTREAM, CODING_STYLE = b"\xff\x4f\xff\x51", 0xFF52
"""Markers SOC and SIZ in a row, and COD (ISO/IEC 15444-1, annex A)."""
LEVELS_AT = 9
"""Bytes from the marker COD to its number of decomposition levels."""

MOST_SCANS = 500
"""Scans of a JPEG that are decoded; progressive ones have about ten, and each costs the time of the whole picture."""
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""Begin of a segment of JPEG, which data of a scan cannot hold (ITU-T T.81, B.1.1)."""
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9


def check_scans(content: bytes) -> None:
    """Raise ValueError for a JPEG file that would be decoded again and again."""
    place = scans = 0
    while scans <= MOST_SCANS and (found := MARKER.search(content, place + 2)):
        place, marker = found.start(), content[found.start() + 1]
        if marker == END_OF_IMAGE:
            return
        scans += marker == START_OF_SCAN
        place += int.from_bytes(content[place + 2 : place + 4], "big")
    if scans > MOST_SCANS:
        raise ValueError(f"is a JPEG of more than {MOST_SCANS} scans, which takes minutes to decode; save it again")


def kind_of(image: Image.Image) -> str:
    """Return the key of `COSTLY` that an opened image belongs to; empty for another one."""
    if image.format == "WEBP" and getattr(image, "n_frames", 1) > 1:
        return "moving WebP"
    if bits_of(image) > 8:
        return "TIFF of 16 bits"
    return {"AVIF": "AVIF", "JPEG2000": "JPEG 2000"}.get(image.format or "", "")


def reduce_detail(image: Image.Image, path: Path, side: int) -> float:
    """Have a JPEG 2000 image decoded at a half, a quarter, ... of its size, its longest side still `side` or more.

    Args:
        image: Opened and not loaded; one of another format is left alone.
        path: The file that it was opened from.
        side: Pixels that its longest side must keep.

    Returns:
        Share of its pixels that will be decoded.
    """
    if not isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile):
        return 1.0
    with path.open("rb") as file:
        most = _decomposition_levels(file.read(MOST_HEADER))
    usable = [n for n in range(1, most + 1) if max(image.size) >> n >= side and _rounds_alike(image.size, n)]
    halvings = usable[-1] if usable else 0
    image.reduce = halvings
    return 0.25**halvings


def _rounds_alike(size: tuple[int, int], halvings: int) -> bool:
    """Whether Pillow, which rounds the smaller size to the nearest, expects what OpenJPEG gives, which rounds up."""
    part = 2**halvings
    return all(-(-length // part) == (length + part // 2) // part for length in size)


def _decomposition_levels(content: bytes) -> int:
    """Decomposition levels of a JPEG 2000 codestream, 0 where its header is not found."""
    place = content.find(CODESTREAM) + 2
    while place >= 2 and place + LEVELS_AT < len(content) and content[place] == 0xFF:
        if int.from_bytes(content[place : place + 2], "big") == CODING_STYLE:
            return content[place + LEVELS_AT]
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return 0
