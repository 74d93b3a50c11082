"""Says which reference of a glTF document leads nowhere, for a file that the importer has refused.

Not asked before: references that nothing uses do no harm, and importers pass over them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]
"""An object of the JSON."""
REFERENCES = {
    "scenes": {"nodes": "nodes"},
    "nodes": {"children": "nodes", "mesh": "meshes", "skin": "skins"},
    "skins": {"joints": "nodes", "inverseBindMatrices": "accessors"},
    "textures": {"source": "images"},
    "accessors": {"bufferView": "bufferViews"},
    "bufferViews": {"buffer": "buffers"},
    "images": {"bufferView": "bufferViews"},
}
"""Lists of the document, and of their rows the fields that hold an index, or several, into another list."""

MAX_DEPTH = 900
"""Nodes that hang on each other; the importer calls itself for each, which Python bounds to 1,000 calls."""


def broken_reference(document: Row) -> str | None:
    """Return in words the first reference that leads nowhere or in a ring; None where there is none.

    Args:
        document: The JSON of a glTF file.
    """
    lengths: dict[str, int] = {}
    for owner, index, target in _references(document):
        if target not in lengths:
            lengths[target] = len(_rows(document, target))
        if not 0 <= index < (length := lengths[target]):
            return f"{owner} refers to number {index} of {target}, of which the file has {length}"
    return _broken_tree(_rows(document, "nodes"))


def _references(document: Row) -> Iterator[tuple[str, int, str]]:
    """Yield who refers, the index, and the list that it counts in."""
    yield from _indices("the file", document, {"scene": "scenes"})
    for name, fields in REFERENCES.items():
        for number, row in enumerate(_rows(document, name)):
            yield from _indices(f"number {number} of {name}", row, fields)
    for number, mesh in enumerate(_rows(document, "meshes")):
        for part in _rows(mesh, "primitives"):
            owner = f"number {number} of meshes"
            yield from _indices(owner, part, {"indices": "accessors", "material": "materials"})
            attributes = part.get("attributes")
            if isinstance(attributes, dict):
                yield from _indices(owner, attributes, dict.fromkeys(attributes, "accessors"))
    yield from _of_materials(document)


def _of_materials(document: Row) -> Iterator[tuple[str, int, str]]:
    for number, material in enumerate(_rows(document, "materials")):
        surface = material.get("pbrMetallicRoughness")
        for place in [material, surface] if isinstance(surface, dict) else [material]:
            for texture in (row for row in place.values() if isinstance(row, dict)):
                yield from _indices(f"number {number} of materials", texture, {"index": "textures"})


def _indices(owner: str, row: Row, fields: Mapping[str, str]) -> Iterator[tuple[str, int, str]]:
    for field, target in fields.items():
        value = row.get(field)
        for index in value if isinstance(value, list) else [value]:
            if isinstance(index, int):
                yield owner, index, target


def _broken_tree(nodes: list[Row]) -> str | None:
    """Return what is wrong with a tree of nodes that refer to each other: two parents, or a ring."""
    parents: dict[int, int] = {}
    for number, node in enumerate(nodes):
        for _, child, _ in _indices("", node, {"children": "nodes"}):
            if child in parents:
                return f"number {child} of nodes hangs on two others, {parents[child]} and {number}"
            parents[child] = number
    depths: dict[int, int] = {}
    for start in range(len(nodes)):
        way, index = [], start
        while index in parents and index not in depths:
            way.append(index)
            depths[index] = 0
            index = parents[index]
        if index in way:
            return f"number {index} of nodes hangs on itself"
        for number in reversed(way):
            depths[number] = depths.get(parents[number], 0) + 1
    deepest = max(depths.values(), default=0)
    return f"nodes hang {deepest} deep on each other, at most {MAX_DEPTH} are read" if deepest > MAX_DEPTH else None


def _rows(owner: Row, name: str) -> list[Row]:
    rows = owner.get(name)
    return [row if isinstance(row, dict) else {} for row in rows] if isinstance(rows, list) else []
