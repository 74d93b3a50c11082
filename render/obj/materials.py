"""Reads material libraries (MTL) and writes one in which every texture is named by its absolute path."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

MAPS = b"map_Kd map_Ks map_Ns map_d map_refl map_Ke map_Bump map_Pr map_Pm map_Ps refl bump map_Ka".split()
VALUES = b"Ns Ka Kd Ks Ke Ni d illum Pr Pm Ps Pc Pcr aniso anisor Kt Tf".split()
AMBIENT, COLOUR = b"map_Ka", b"map_Kd"
KEYWORDS = {name.lower(): name for name in (*MAPS, *VALUES)}
"""Statements that Blender's importer reads, as it writes them, by their letters in lower case."""
OPTION = re.compile(
    rb"-(?:blendu|blendv|boost|cc|clamp|imfchan|bm|texres|type)\s+\S+\s+"
    rb"|-mm\s+\S+\s+\S+\s+"
    rb"|-[ost]\s+(?:[-+.\d]+(?:[eE][-+]?\d+)?\s+){1,3}"
)
"""One option before the name of a texture, with its values."""


@dataclass(frozen=True)
class Statement:
    """One line of a material: what it sets and to what."""

    keyword: bytes
    value: bytes
    """Numbers, or the options of a texture."""
    name: str = ""
    """Name of a texture as it stands in the file, decoded by os.fsdecode; empty where there is none."""


Material = tuple[Statement, ...]


def read_materials(content: bytes) -> dict[bytes, Material]:
    """Return the materials of a library by name; what Blender's importer does not read is left out."""
    found: dict[bytes, list[Statement]] = {}
    current: list[Statement] = []
    for line in content.splitlines():
        keyword, *rest = line.split(None, 1) or [b""]
        value = rest[0].strip() if rest else b""
        if keyword == b"newmtl":
            current = found.setdefault(value, [])
        elif keyword.lower() in KEYWORDS:
            current.append(_statement(KEYWORDS[keyword.lower()], value))
    return {name: _with_colour(statements) for name, statements in found.items()}


def _with_colour(statements: Sequence[Statement]) -> Material:
    """Let the texture of the ambient colour stand in where there is none of the colour; else it is not seen."""
    has_colour = any(statement.keyword == COLOUR for statement in statements)
    return tuple(
        replace(statement, keyword=COLOUR) if statement.keyword == AMBIENT else statement
        for statement in statements
        if statement.keyword != AMBIENT or not has_colour
    )


def _statement(keyword: bytes, value: bytes) -> Statement:
    if keyword not in MAPS:
        return Statement(keyword, value)
    end = 0
    while match := OPTION.match(value, end):
        end = match.end()
    return Statement(keyword, value[:end], os.fsdecode(value[end:]))


def textures_of(material: Material) -> list[str]:
    """Return the names of the textures of a material as they stand in the file."""
    return [statement.name for statement in material if statement.name]


def library(materials: Mapping[bytes, Material], paths: Mapping[tuple[bytes, str], Path]) -> bytes:
    """Return the text of a library.

    Args:
        materials: By name.
        paths: The file of each texture, by the material's name and the texture's name in `materials`.
    """
    lines: list[bytes] = []
    for name, material in materials.items():
        lines.append(b"newmtl " + name)
        lines += _lines(name, material, paths)
    return b"\n".join([*lines, b""])


def _lines(name: bytes, material: Material, paths: Mapping[tuple[bytes, str], Path]) -> Iterable[bytes]:
    for statement in material:
        if not statement.name:
            yield b" ".join([statement.keyword, statement.value])
        else:
            path = os.fsencode(paths[name, statement.name].absolute())
            yield statement.keyword + b" " + statement.value + path
