"""A PLY file is whole or turned away: Blender shows what is left of one that is cut off."""

import struct
from pathlib import Path

import pytest

from render.ply import missing_end, read_ply_header

HEAD = (
    "ply\nformat {} 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    "element face 2\nproperty list uchar int vertex_indices\nproperty uchar red\nend_header\n"
)
VERTICES, FACES = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)), ((0, 1, 2), (0, 2, 3))
LINES = [" ".join(map(str, vertex)) for vertex in VERTICES] + [f"3 {' '.join(map(str, face))} 255" for face in FACES]
TEXT = (HEAD.format("ascii") + "".join(f"{line}\n" for line in LINES)).encode()


def binary(encoding: str, order: str) -> bytes:
    vertices = b"".join(struct.pack(f"{order}3f", *vertex) for vertex in VERTICES)
    faces = b"".join(struct.pack(f"{order}B3iB", 3, *face, 255) for face in FACES)
    return HEAD.format(encoding).encode() + vertices + faces


LITTLE, BIG = binary("binary_little_endian", "<"), binary("binary_big_endian", ">")


def missing(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "a.ply"
    path.write_bytes(content)
    return missing_end(path, read_ply_header(path))


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.removesuffix(b"\n"),
        TEXT + b"\n\n",
        TEXT + b"one line more\n",
        LITTLE,
        BIG,
        LITTLE + b"\n",
        HEAD.format("ascii").replace("vertex 4", "vertex 0").replace("face 2", "face 0").encode(),
        b"no PLY file",
        b"",
    ],
)
def test_ply_file_that_is_whole_misses_nothing(tmp_path: Path, content: bytes) -> None:
    assert missing(tmp_path, content) == ""


@pytest.mark.parametrize("content", [LITTLE, BIG])
@pytest.mark.parametrize("cut", [1, 13, 40])
def test_ply_binary_that_is_cut_off_misses_bytes(tmp_path: Path, content: bytes, cut: int) -> None:
    left = len(content) - cut
    assert missing(tmp_path, content[:left]) == f"{left} of at least {len(content)} bytes"


def test_ply_that_lists_more_than_it_has_bytes_is_cut_off_whatever_it_lists(tmp_path: Path) -> None:
    head = b"ply\nformat binary_little_endian 1.0\nelement face 99999999999\nproperty odd thing\nend_header\n"
    assert missing(tmp_path, head) == f"{len(head)} of at least {len(head) + 99999999999} bytes"


def test_ply_text_that_is_cut_off_misses_lines_or_corners(tmp_path: Path) -> None:
    assert missing(tmp_path, TEXT[: TEXT.index(b"3 0 2 3")]) == "5 of 6 lines of data"
    assert missing(tmp_path, TEXT[: TEXT.index(b"3 0 1 2")]) == "4 of 6 lines of data"
    assert missing(tmp_path, TEXT[: TEXT.index(b"3 0 2 3") + 5]) == "2 of 3 corners of its last face"


def test_ply_faces_of_many_corners_count_as_triangles_at_least(tmp_path: Path) -> None:
    one = LITTLE.replace(b"face 2", b"face 1")
    body = struct.pack("<B6iB", 6, 0, 1, 2, 3, 0, 1, 255)
    assert missing(tmp_path, one[: -2 * 14] + body) == ""
