"""Looks for vertices of an OBJ file that Blender's importer would read wrongly without a word."""

import math
import re
from collections.abc import Iterator

from render.errors import Unrenderable

TOKENS = (b"nan", b"NaN", b"NAN", b"inf", b"Inf", b"INF", b".#", b",")
"""What a line holds whose numbers Blender's importer reads as 0, or not to their end."""
EXPONENT = re.compile(rb"[eE]\+?(?:3[89]|[4-9]\d|[1-9]\d\d)(?!\d)")
"""Exponents beyond 32-bit floats."""
COMMENT = re.compile(rb"(?:^|\s)#.*")
GREY = b"0.5 0.5 0.5"
"""sRGB colour of a vertex whose own is not finite."""
MAX_FLOAT = 3.4028235e38


def checked(content: bytes) -> bytes:
    """Return the text of an OBJ file, with grey for vertex colours that are not finite.

    Raises Unrenderable when a position is not finite or numbers are written with commas.
    """
    spoilt: dict[int, int] = {}
    for start, end in _suspicious_lines(content):
        fields = COMMENT.sub(b"", content[start:end]).split()
        if fields[:1] != [b"v"]:
            continue
        if any(b"," in field for field in fields):
            line = content[start:end].decode(errors="replace").strip()
            raise Unrenderable(f"numbers are written with commas ('{line[:60]}'): write decimal points, blanks between")
        if not all(_is_finite(field) for field in fields[1:4]):
            raise Unrenderable("vertices are not finite")
        if len(fields) > 4:
            spoilt[start] = end
    return _without_colours(content, spoilt) if spoilt else content


def _suspicious_lines(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of lines that hold a token; some come more than once."""
    for token in TOKENS:
        position = content.find(token)
        while position >= 0:
            start, end = content.rfind(b"\n", 0, position) + 1, content.find(b"\n", position)
            end = len(content) if end < 0 else end
            yield start, end
            position = content.find(token, end)
    for match in EXPONENT.finditer(content):
        end = content.find(b"\n", match.end())
        yield content.rfind(b"\n", 0, match.start()) + 1, len(content) if end < 0 else end


def _is_finite(field: bytes) -> bool:
    try:
        return math.isfinite(float(field)) and abs(float(field)) <= MAX_FLOAT
    except ValueError:
        return not re.search(rb"nan|inf|#", field, re.IGNORECASE)


def _without_colours(content: bytes, lines: dict[int, int]) -> bytes:
    parts, position = [], 0
    for start, end in sorted(lines.items()):
        parts += [content[position:start], b" ".join([*content[start:end].split()[:4], GREY])]
        position = end
    return b"".join([*parts, content[position:]])
