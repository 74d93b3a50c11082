"""Looks for vertices of an OBJ file that Blender's importer would read wrongly without a word."""

import itertools
import math
import re
from collections.abc import Callable, Iterator

from render.errors import Unrenderable
from render.obj.text import line_end

TOKENS = (b"nan", b"NaN", b"NAN", b"inf", b"Inf", b"INF", b".#", b",", b"null", b"undefined", b"None")
"""What a line holds whose numbers Blender's importer reads as 0, or not to their end."""
EXPONENTS = [re.compile(letter + rb"\+?(?:3[89]|[4-9]\d|[1-9]\d\d)(?!\d)") for letter in (b"e", b"E")]
"""Exponents beyond 32-bit floats; apart, because a pattern that begins with one letter is found 7 times as fast."""
ODD = re.compile(rb"\nv[ \t]++(?![-+.\deE]++[ \t]++[-+.\deE]++[ \t]++[-+.\deE]++\s)")
"""Line end before a vertex without three numbers, or with something else directly behind them."""
NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
COMMENT = re.compile(rb"(?:^|\s)#.*")
GREY = b"0.5 0.5 0.5"
"""sRGB colour of a vertex whose own is not finite."""
COLOURED = re.compile(rb"v(?:[ \t]+[-+.\deE]+){6}")
BARE = re.compile(rb"^(v(?:[ \t]+[-+.\deE]+){3})[ \t\r]*$", re.MULTILINE)
"""Lines of vertices with a colour, and without."""
BELOW_ZERO = re.compile(rb"^v(?:[ \t]+[-+.\deE]+){3,5}[ \t]+-.*$", re.MULTILINE)
"""Lines of vertices with a colour, a number of which is below 0, as resampled colours are by a rounding."""
LONGEST = 1000
"""Bytes that are looked at for one vertex."""
MAX_FLOAT = 3.4028235e38


def checked(content: bytes) -> bytes:
    """Return the text of an OBJ file, with grey for vertex colours that are not finite.

    Raises Unrenderable when a position is not finite, is no three numbers, or numbers are written with commas.
    """
    spoilt: dict[int, int] = {}
    for start, end in _suspicious_lines(content):
        fields = COMMENT.sub(b"", content[start:end]).split()
        if fields[:1] != [b"v"]:
            continue
        if any(b"," in field for field in fields):
            shown = _shown(content[start:end])
            raise Unrenderable(f"numbers are written with commas ('{shown}'): write decimal points, blanks between")
        if not all(_is_finite(field) for field in fields[1:4]):
            raise Unrenderable("vertices are not finite")
        if len(fields) > 4:
            spoilt[start] = end
    _require_three_numbers(content)
    return _without_colours(content, spoilt) if spoilt else content


def with_all_colours(content: bytes) -> bytes:
    """Return the text of an OBJ file, with white for the vertices without colour if others have one.

    Numbers of colours below 0 become 0. Without either the importer drops the colours of the whole mesh. Whether a file
    has colours its first and its last vertex tell.
    """
    ends = (_vertex(content.find), _vertex(content.rfind))
    if not any(COLOURED.match(content, end, end + LONGEST) for end in ends):
        return content
    return BARE.sub(rb"\1 1 1 1", BELOW_ZERO.sub(_from_zero, content))


def _from_zero(line: re.Match[bytes]) -> bytes:
    keyword, *fields = line[0].split()
    return b" ".join([keyword, *fields[:3], *(b"0" if field.startswith(b"-") else field for field in fields[3:])])


def _vertex(find: Callable[[bytes], int]) -> int:
    return max(find(b"\nv ") + 1, 0)


def _suspicious_lines(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of lines that hold a token; some come more than once."""
    for token in TOKENS:
        position = content.find(token)
        while position >= 0:
            end = line_end(content, position)
            yield content.rfind(b"\n", 0, position) + 1, end
            position = content.find(token, end)
    for match in itertools.chain.from_iterable(pattern.finditer(content) for pattern in EXPONENTS):
        yield content.rfind(b"\n", 0, match.start()) + 1, line_end(content, match.end())


def _require_three_numbers(content: bytes) -> None:
    for start in itertools.chain([0], (match.start() + 1 for match in ODD.finditer(content))):
        line = content[start : line_end(content, start)]
        keyword, *fields = COMMENT.sub(b"", line).split() or [b""]
        if keyword == b"v" and fields[-1:] != [b"\\"] and not _are_numbers(fields[:3]):
            raise Unrenderable(f"a vertex has no three numbers ('{_shown(line)}'): export it again")


def _is_finite(field: bytes) -> bool:
    try:
        return math.isfinite(float(field)) and abs(float(field)) <= MAX_FLOAT
    except ValueError:
        return not re.search(rb"nan|inf|#|null|undefined|none", field, re.IGNORECASE)


def _are_numbers(fields: list[bytes]) -> bool:
    """Tell whether fields are three numbers; what stands directly behind the last one does no harm."""
    *first, last = fields or [b""]
    return len(first) == 2 and all(map(NUMBER.fullmatch, first)) and NUMBER.match(last) is not None


def _shown(line: bytes) -> str:
    return line.decode(errors="replace").strip()[:60]


def _without_colours(content: bytes, lines: dict[int, int]) -> bytes:
    parts, position = [], 0
    for start, end in sorted(lines.items()):
        parts += [content[position:start], b" ".join([*content[start:end].split()[:4], GREY])]
        position = end
    return b"".join([*parts, content[position:]])
