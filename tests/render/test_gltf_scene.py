from typing import Any

import pytest

from render.gltf_scene import undeclared_extensions, unseen_nodes

HIDDEN = {"extensions": {"KHR_node_visibility": {"visible": False}}}
SHOWN = {"extensions": {"KHR_node_visibility": {"visible": True}}}


@pytest.mark.parametrize(
    ("document", "unseen"),
    [
        ({"nodes": [{}, {}], "scenes": [{"nodes": [0, 1]}], "scene": 0}, set()),
        ({"nodes": [HIDDEN, SHOWN], "scenes": [{"nodes": [0, 1]}]}, {0}),
        ({"nodes": [HIDDEN | {"children": [1]}, SHOWN], "scenes": [{"nodes": [0]}]}, {0, 1}),
        ({"nodes": [{"children": [1]}, HIDDEN], "scenes": [{"nodes": [0]}]}, {1}),
        ({"nodes": [{}, {}, {}], "scenes": [{"nodes": [0]}, {"nodes": [1]}], "scene": 1}, {0, 2}),
        ({"nodes": [{}, {}], "scenes": [{"nodes": [0]}, {"nodes": [0, 1]}]}, {1}),
        ({"nodes": [{"children": [1]}, {}, HIDDEN]}, {2}),
        ({"nodes": [{"extensions": {"MSFT_lod": {"ids": [1, 2]}}}, {}, {}], "scenes": [{"nodes": [0, 1, 2]}]}, {1, 2}),
        ({"nodes": [{}], "scenes": [{}]}, {0}),
        ({}, set()),
    ],
)
def test_unseen_nodes_are_hidden_or_outside_of_the_default_scene(document: dict[str, Any], unseen: set[int]) -> None:
    assert unseen_nodes(document) == unseen


def test_unseen_nodes_of_a_scene_that_bites_its_tail_end() -> None:
    nodes = [{"children": [1]}, {"children": [0]}]
    assert unseen_nodes({"nodes": nodes, "scenes": [{"nodes": [0]}]}) == set()


def test_undeclared_extensions_are_required_without_being_used() -> None:
    assert undeclared_extensions({"extensionsRequired": ["A", "B"], "extensionsUsed": ["B"]}) == ["A"]
    assert undeclared_extensions({"extensionsRequired": ["A"]}) == ["A"]
    assert undeclared_extensions({}) == []
