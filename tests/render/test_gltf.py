import json
from pathlib import Path

import pytest

from render.gltf import read_document, read_header
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
