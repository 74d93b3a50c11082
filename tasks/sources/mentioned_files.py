"""Finds the files that PLY, FBX, USD, Collada and .blend files name: textures and, for USD, further layers."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

from render.blender.usd_file import needed_files
from render.formats import IMAGE_SUFFIXES, format_of
from render.named_files import folded, leads_to_file
from render.obj.lookup import named_file
from render.ply import read_ply_header
from tasks.sources.gunzip import gunzip

ENDINGS = "|".join(re.escape(suffix) for suffix in sorted(IMAGE_SUFFIXES))
IMAGE_ENDING = re.compile(f"(?:{ENDINGS})(?![A-Za-z0-9])".encode(), re.IGNORECASE)
NO_NAME = re.compile(rb"[\x00-\x1f\"<>|*?]")
"""What no file name contains on the systems that write such files."""
MAX_NAME = 400
"""Bytes of a name with its folders."""
DAE_IMAGE = re.compile(r"<init_from>\s*+(?:<ref>\s*+)?([^<]*[^<\s])\s*<")
ZSTD, GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
"""How a compressed .blend file begins."""


def mentioned_files(main: Path) -> list[Path]:
    """Return the existing files that `main` names, by the rules by which its importer finds them, sorted.

    A binary file that is compressed tells no names: then all images in its folder and below count as named.
    """
    readers: dict[str, Callable[[Path], Iterator[Path]]] = {
        "PLY": _of_ply,
        "USD": _of_usd,
        "Collada": _of_dae,
        "FBX": _of_binary,
        "Blender": _of_binary,
    }
    reader = readers.get(format_of(main).name)
    return sorted({path for path in reader(main) if leads_to_file(path)}) if reader else []


def _of_ply(main: Path) -> Iterator[Path]:
    yield from (named_file(main, name) for name in read_ply_header(main).textures)


def _of_usd(main: Path) -> Iterator[Path]:
    yield from needed_files(main)


def _of_dae(main: Path) -> Iterator[Path]:
    names = [unquote(name).replace("\\", "/") for name in DAE_IMAGE.findall(main.read_text("utf-8", "replace"))]
    last = {folded(name.rpartition("/")[2]) for name in names}
    yield from (path for path in main.parent.rglob("*") if folded(path.name) in last)
    yield from (main.parent / name for name in names if name.startswith(".."))


def _of_binary(main: Path) -> Iterator[Path]:
    """Yield images below the folder whose names, without folders, the file mentions; and those at relative paths."""
    content = main.read_bytes()
    if content.startswith(GZIP):
        try:
            content = gunzip(content)
        except ValueError:
            return
    is_readable = not content.startswith(ZSTD)
    names = [_name_before(content, match.end()) for match in IMAGE_ENDING.finditer(content)]
    last = {folded(name.rpartition("/")[2]) for name in names}
    for path in main.parent.rglob("*"):
        if path.suffix.lower() in IMAGE_SUFFIXES and (not is_readable or _ends_with(last, folded(path.name))):
            yield path
    for name in names:
        relative = name.partition("//")[2] or name  # .blend files write //textures/a.png
        if relative.startswith("..") and len(relative) < 300:
            yield main.parent / relative


def _name_before(content: bytes, end: int) -> str:
    """Return the name that ends at byte `end`, with / between folders."""
    name = NO_NAME.split(content[max(0, end - MAX_NAME) : end])[-1]
    return name.decode("utf-8", "replace").replace("\\", "/")


def _ends_with(mentioned: set[str], name: str) -> bool:
    """Tell whether a name is mentioned; in a binary file other bytes may stand directly before it."""
    return name in mentioned or any(text.endswith(name) for text in mentioned)
