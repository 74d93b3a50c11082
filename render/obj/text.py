"""Reads the text of OBJ and MTL files, however a program has stored it."""

import re
from dataclasses import dataclass
from pathlib import Path

from render.errors import Unrenderable
from render.lfs import REMEDY, is_lfs_pointer
from render.text_encoding import marked_encoding

HEAD = 4096
"""Bytes that are looked at to recognise what a file is."""
PAGE = re.compile(rb"\s*<(?:!doctype\s+)?html", re.IGNORECASE)
LONE_RETURN = re.compile(rb"\r(?!\n)")


@dataclass(frozen=True)
class Text:
    """The text of an OBJ or MTL file: bytes with lines that end in a line feed, without a byte order mark."""

    content: bytes
    is_stored: bool
    """Whether the file holds these very bytes; if not, Blender cannot be given the file itself."""


def read_text(path: Path) -> Text:
    """Read a text file, in UTF-8 or any code that has ASCII in it, UTF-16 or UTF-32, of Unix, Windows or old Macs.

    Raises Unrenderable when the file is a git-LFS pointer, an HTML page or no text.
    """
    if is_lfs_pointer(path):
        raise Unrenderable(f"{path.name} is {REMEDY}")
    stored = path.read_bytes()
    codec = _codec(stored[:HEAD])
    content = stored if codec is None else stored.decode(codec, errors="replace").encode()
    if b"\0" in content[:HEAD]:
        raise Unrenderable(f"{path.name} is no text: OBJ and MTL files are, other files that end so are not read")
    if PAGE.match(content):
        raise Unrenderable(f"{path.name} is an HTML page, as servers send instead of a file: fetch it again")
    if b"\r" in content[:HEAD] and b"\n" not in content[:HEAD]:
        content = LONE_RETURN.sub(b"\n", content)
    return Text(content, content is stored)


def line_end(content: bytes, start: int) -> int:
    """Return where the line of a text ends that holds the byte `start`."""
    end = content.find(b"\n", start)
    return end if end >= 0 else len(content)


def _codec(head: bytes) -> str | None:
    if (marked := marked_encoding(head)) is not None:
        return marked
    if len(head) > 3 and head[1] == 0 and head[3] == 0:
        return "utf-16-le"
    if len(head) > 3 and head[0] == 0 and head[2] == 0:
        return "utf-16-be"
    return None
