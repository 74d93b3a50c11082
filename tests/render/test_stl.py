"""An STL file is whole or turned away: Blender shows what is left of one that is cut off."""

import struct
from pathlib import Path

import pytest

from render.errors import Unrenderable
from render.stl import check_stl

FACET = b"facet normal 0 0 1\n outer loop\n  vertex 0 0 0\n  vertex 1 0 0\n  vertex 0 1 0\n endloop\nendfacet\n"
TEXT = b"solid part\n" + 3 * FACET + b"endsolid part\n"
TRIANGLE = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
BINARY = b"made by hand".ljust(80, b"\0") + struct.pack("<I", 3) + 3 * TRIANGLE


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.upper().replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + TEXT,
        TEXT.removesuffix(b"endsolid part\n"),
        TEXT + b"; exported yesterday\n",
        TEXT + TEXT,
        TEXT.removeprefix(b"solid part\n"),
        BINARY,
        b"solid part".ljust(80) + BINARY[80:],
    ],
)
def test_stl_file_that_is_whole_is_taken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.stl").write_bytes(content)
    check_stl(tmp_path / "a.stl")


@pytest.mark.parametrize("length", [len(TEXT) - 20, len(TEXT) - 40, 100, 40])
def test_stl_text_that_ends_inside_of_a_triangle_is_cut_off(tmp_path: Path, length: int) -> None:
    (tmp_path / "a.stl").write_bytes(TEXT[:length])
    with pytest.raises(Unrenderable, match="ends inside of a triangle"):
        check_stl(tmp_path / "a.stl")


def test_stl_text_whose_end_is_blank_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_bytes(TEXT[:40] + b" " * 5000)
    with pytest.raises(Unrenderable, match="ends inside of a triangle"):
        check_stl(tmp_path / "a.stl")


@pytest.mark.parametrize(
    "content", [BINARY[:-1], BINARY[:84], BINARY[:40], BINARY + b"\0", bytes(1000), b"<html></html>"]
)
def test_stl_file_of_another_size_than_its_triangles_is_refused_with_both(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.stl").write_bytes(content)
    with pytest.raises(Unrenderable, match=rf"triangles, which take \d+ bytes, but has {len(content)} bytes"):
        check_stl(tmp_path / "a.stl")
