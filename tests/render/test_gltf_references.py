"""Of a glTF file that was refused, the reference that leads nowhere is named."""

from typing import Any

import pytest

from render.gltf_references import broken_reference

SOUND: dict[str, Any] = {
    "scene": 0,
    "scenes": [{"nodes": [0]}],
    "nodes": [{"children": [1]}, {"mesh": 0}],
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}],
    "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
    "textures": [{"source": 0}],
    "images": [{"bufferView": 0}],
    "accessors": [{"bufferView": 0}],
    "bufferViews": [{"buffer": 0}],
    "buffers": [{"byteLength": 4}],
}


def test_document_without_a_fault_has_no_broken_reference() -> None:
    assert broken_reference(SOUND) is None
    assert broken_reference({"nodes": "none", "meshes": [5]}) is None
    assert broken_reference({"nodes": [{"children": "none"}, {"children": [[0], {}]}]}) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scene": 3}, "the file refers to number 3 of scenes, of which the file has 1"),
        ({"scenes": [{"nodes": [0, 9]}]}, "number 0 of scenes refers to number 9 of nodes, of which the file has 2"),
        ({"buffers": []}, "number 0 of bufferViews refers to number 0 of buffers, of which the file has 0"),
        ({"accessors": []}, "number 0 of meshes refers to number 0 of accessors, of which the file has 0"),
        ({"textures": []}, "number 0 of materials refers to number 0 of textures, of which the file has 0"),
        ({"images": [{"bufferView": -1}]}, "number 0 of images refers to number -1 of bufferViews"),
        ({"nodes": [{"children": [1]}, {"children": [0]}]}, "number 0 of nodes hangs on itself"),
        ({"nodes": [{"children": [2]}, {"children": [2]}, {}]}, "number 2 of nodes hangs on two others, 0 and 1"),
        ({"nodes": [{"children": [n + 1]} for n in range(50_000)] + [{}]}, "nodes hang 50000 deep on each other"),
    ],
)
def test_broken_reference_is_named_with_the_bound(change: dict[str, Any], reason: str) -> None:
    said = broken_reference(SOUND | change)
    assert said is not None
    assert said.startswith(reason)
