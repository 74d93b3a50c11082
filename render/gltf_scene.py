"""Which nodes of a glTF document are seen: those of its default scene that nothing hides. Knows no geometry."""

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
"""The JSON of a glTF file."""


def unseen_nodes(document: Document) -> set[int]:
    """Return the indices of the nodes whose meshes a viewer does not show.

    These are nodes outside of the default scene (the first where none is named), nodes that KHR_node_visibility hides
    with all that hangs on them, and the lower levels of detail of MSFT_lod. A file without scenes shows all its nodes.
    """
    nodes = document.get("nodes", [])
    lower = {index for node in nodes for index in _extension(node, "MSFT_lod").get("ids", [])}
    seen: set[int] = set()
    waiting = [index for index in _roots(document) if index not in lower]
    while waiting:
        index = waiting.pop()
        if index in seen or not _extension(nodes[index], "KHR_node_visibility").get("visible", True):
            continue
        seen.add(index)
        waiting += [child for child in nodes[index].get("children", []) if child not in lower]
    return set(range(len(nodes))) - seen


def undeclared_extensions(document: Document) -> list[str]:
    """Return the extensions that the document requires without saying that it uses them, which makes it invalid."""
    used = document.get("extensionsUsed", [])
    return [name for name in document.get("extensionsRequired", []) if name not in used]


def _roots(document: Document) -> Iterator[int]:
    """Yield the roots of the default scene; where there is no scene, the nodes that are nobody's child."""
    scenes, nodes = document.get("scenes", []), document.get("nodes", [])
    if scenes:
        yield from scenes[document.get("scene", 0)].get("nodes", [])
        return
    children = {child for node in nodes for child in node.get("children", [])}
    yield from (index for index in range(len(nodes)) if index not in children)


def _extension(node: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    extension: Mapping[str, Any] = node.get("extensions", {}).get(name, {})
    return extension
