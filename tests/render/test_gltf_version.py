from typing import Any

import pytest

from render.errors import Unrenderable
from render.gltf_version import check_version, with_plain_version


@pytest.mark.parametrize("version", ["2.0", 2.0, 2, "2", "2.1", 2.1])
def test_version_2_is_read_however_it_is_written(version: Any) -> None:
    document = {"asset": {"version": version, "generator": "a"}, "nodes": []}
    check_version(document)
    assert with_plain_version(document) == {"asset": {"version": "2.0", "generator": "a"}, "nodes": []}


@pytest.mark.parametrize(
    ("asset", "reason"),
    [
        ({"version": "1.0"}, "of glTF version 1.0, and only 2.0 is read"),
        ({"version": 1.0}, "of glTF version 1.0, and"),
        ({"version": "2.1", "minVersion": "2.1"}, "of glTF version 2.1, and"),
        ({"version": ["2.0"]}, r"of glTF version \['2.0'\], and"),
        ({}, "asset.version is missing"),
        ("2.0", "asset.version is missing"),
        (None, "asset.version is missing"),
    ],
)
def test_other_version_is_named(asset: Any, reason: str) -> None:
    document = {"asset": asset}
    with pytest.raises(Unrenderable, match=reason):
        check_version(document)
    if asset != {"version": "2.1", "minVersion": "2.1"}:
        assert with_plain_version(document) == document
