import base64
import json
from pathlib import Path

import pytest

from render.gltf import plain_data, read_document, read_header
from tests.render.toys import write_box


def test_read_header_of_a_glb_gives_its_version_and_size(tmp_path: Path) -> None:
    path = write_box(tmp_path / "box.glb")
    assert read_header(path) == (2, path.stat().st_size)


@pytest.mark.parametrize("content", [b"", b"glTF\x02", b"PK\x03\x04 a zip archive"])
def test_read_header_of_another_file_raises_with_its_first_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "box.glb"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a GLB file: it starts with") as error:
        read_header(path)
    assert repr(content[:4]) in str(error.value)


def test_read_document_is_the_same_from_both_containers(tmp_path: Path) -> None:
    path = write_box(tmp_path / "box.glb")
    document = read_document(path)
    assert document["asset"]["version"] == "2.0"
    (tmp_path / "box.gltf").write_text(json.dumps(document))
    assert read_document(tmp_path / "box.gltf") == document


@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b"\xff\xfe", b"glTF\x02\0\0\0", b"glTF\x02\0\0\0\x20\0\0\0\x20\0\0\0JSON{"]
)
def test_read_document_of_a_damaged_file_raises(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "box.glb"
    path.write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 json's own words
        read_document(path)


@pytest.mark.parametrize(
    "uri",
    [
        "data:application/octet-stream;base64,+/8A7g==",
        "data:;base64,+/8A7g",
        "DATA:image/png;charset=utf-8;BASE64,+/8A7g==",
        "data:image/png;base64,-_8A7g==",
        "data:image/png;base64,%2B%2F8A7g%3D%3D",
        "data:image/png;base64,+/8A\n  7g==",
        "data:image/png;base64,+/8A7g======",
        "data:image/png,%FB%FF%00%EE",
    ],
)
def test_plain_data_is_read_by_pythons_base64_whatever_its_form(uri: str) -> None:
    head, separator, data = plain_data(uri).partition(";base64,")
    assert head.startswith("data:")
    assert separator
    assert base64.b64decode(data) == b"\xfb\xff\x00\xee"
