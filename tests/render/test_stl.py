"""An STL file is whole or turned away: Blender shows what is left of one that is damaged."""

import struct
from pathlib import Path

import pytest

from render.errors import Unrenderable
from render.stl import check_stl, plain_text

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
    "content", [BINARY[:-1], BINARY[:90], BINARY[:40], BINARY + b"\0", bytes(1000), b"<html></html>"]
)
def test_stl_file_of_another_size_than_its_triangles_is_refused_with_both(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.stl").write_bytes(content)
    with pytest.raises(Unrenderable, match=rf"triangles, which take \d+ bytes, but has {len(content)} bytes"):
        check_stl(tmp_path / "a.stl")


def test_stl_file_of_no_triangles_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_bytes(b"made by hand".ljust(84, b"\0"))
    with pytest.raises(Unrenderable, match="no faces: the STL file names 0 triangles"):
        check_stl(tmp_path / "a.stl")


@pytest.mark.parametrize("vertex", ["vertex abc 0 0", "vertex 1 0", "vertex 1,0 0,0 0,0", "VERTEX 1 0 0Q0"])
def test_stl_vertex_without_three_numbers_is_refused_with_its_line(tmp_path: Path, vertex: str) -> None:
    content = TEXT.replace(b"vertex 1 0 0", vertex.encode(), 1)
    (tmp_path / "a.stl").write_bytes(content.upper() if vertex.isupper() else content)
    with pytest.raises(
        Unrenderable, match=f"a vertex of the STL file has no three numbers .'{vertex.lower()}'.: export"
    ):
        check_stl(tmp_path / "a.stl")


@pytest.mark.parametrize("vertex", ["vertex -1.5E+05 .5 1e-3", "vertex\t1\t0\t0 ", "vertex nan 0 0"])
def test_stl_vertex_with_three_numbers_is_taken_be_they_finite_or_not(tmp_path: Path, vertex: str) -> None:
    (tmp_path / "a.stl").write_bytes(TEXT.replace(b"vertex 1 0 0", vertex.encode()).replace(b"part", b"a vertex 1"))
    check_stl(tmp_path / "a.stl")


def test_stl_triangle_without_a_vertex_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_bytes(TEXT.replace(b"  vertex 1 0 0\n", b"", 1))
    with pytest.raises(Unrenderable, match="has 8 vertices for 3 triangles: it is damaged"):
        check_stl(tmp_path / "a.stl")


@pytest.mark.parametrize("content", [TEXT.upper(), TEXT.replace(b"\n", b"\r"), TEXT.title().replace(b"\n", b"\r\n")])
def test_plain_text_is_in_small_letters_and_lines(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.stl"
    path.write_bytes(content)
    assert (plain_text(path) or b"").replace(b"\n\n", b"\n") == TEXT
    for same in (TEXT, BINARY, TEXT.replace(b"\n", b"\r\n")):
        path.write_bytes(same)
        assert plain_text(path) is None
