"""A PLY file is whole and right or turned away: of others Blender shows what it makes of them."""

import struct
import time
from pathlib import Path

import pytest

from render.errors import Unrenderable
from render.ply import BYTE_ORDERS, read_ply_header
from render.ply_binary import check_binary
from render.ply_text import ROWS, check_text

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


def fault(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "a.ply"
    path.write_bytes(content)
    header = read_ply_header(path)
    try:
        (check_binary if header.encoding in BYTE_ORDERS else check_text)(path, header)
    except Unrenderable as error:
        return str(error)
    return ""


def with_row(content: bytes, row: int, line: str) -> bytes:
    """TEXT with another line in place of one of its data."""
    head, lines = content[: content.index(b"end_header\n") + 11], content.splitlines()[-6:]
    lines[row] = line.encode()
    return head + b"\n".join(lines) + b"\n"


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
        LITTLE[: LITTLE.index(b"end_header") + 11].replace(b"vertex 4", b"vertex 0").replace(b"face 2", b"face 0"),
        b"no PLY file",
        b"",
    ],
)
def test_ply_file_that_is_whole_misses_nothing(tmp_path: Path, content: bytes) -> None:
    assert fault(tmp_path, content) == ""


@pytest.mark.parametrize("content", [LITTLE, BIG])
@pytest.mark.parametrize("cut", [1, 13, 40])
def test_ply_binary_that_is_cut_off_misses_bytes(tmp_path: Path, content: bytes, cut: int) -> None:
    left, corners = len(content) - cut, 2 * 2 * 4
    few = f"the file has {left} of at least {len(content) - corners} bytes"  # each face might have one corner
    expected = few if cut > corners else "the file ends inside of face 1 of 2"
    assert fault(tmp_path, content[:left]) == f"cut off: {expected}; get it whole"


def test_ply_that_lists_more_than_it_has_bytes_is_cut_off_whatever_it_lists(tmp_path: Path) -> None:
    head = b"ply\nformat binary_little_endian 1.0\nelement face 99999999999\nproperty odd thing\nend_header\n"
    assert f"the file has {len(head)} of at least {len(head) + 99999999999} bytes" in fault(tmp_path, head)


def test_ply_text_that_is_cut_off_misses_lines_or_corners(tmp_path: Path) -> None:
    for end, reason in ((0, "5 of 6 lines of data"), (5, "2 of 3 corners of its last face")):
        cut = TEXT[: TEXT.index(b"3 0 2 3") + end]
        assert fault(tmp_path, cut) == f"cut off: the file has {reason}; get it whole"


@pytest.mark.parametrize("count", [1, 2, 6])
def test_ply_face_has_the_corners_that_it_says_be_they_many_or_few(tmp_path: Path, count: int) -> None:
    one = LITTLE.replace(b"face 2", b"face 1")
    body = struct.pack(f"<B{count}iB", count, *[0] * count, 255)
    assert fault(tmp_path, one[: -2 * 14] + body) == ""
    assert fault(tmp_path, one[: -2 * 14] + body[:-3]).startswith("cut off: the file ")


@pytest.mark.parametrize("word", ["abc", "1,5", "0x10", "null", "1.2.3"])
@pytest.mark.parametrize("row", [0, 3])
def test_ply_text_with_a_coordinate_that_is_no_number_is_named(tmp_path: Path, word: str, row: int) -> None:
    expected = f"vertex {row} has the coordinate {word}, which is no number: export it again"
    assert fault(tmp_path, with_row(TEXT, row, f"1.0 {word} 2.0")) == expected


@pytest.mark.parametrize("word", ["nan", "-Infinity", "1e39", "-1.#INF00"])
def test_ply_text_with_a_coordinate_that_is_not_finite_is_turned_away(tmp_path: Path, word: str) -> None:
    assert fault(tmp_path, with_row(TEXT, 1, f"1.0 2.0 {word}")) == "vertices are not finite"


def test_ply_text_with_odd_words_beside_positions_is_read(tmp_path: Path) -> None:
    head = TEXT.replace(b"property float z\n", b"property float z\nproperty float quality\n")
    rows = [f"{line} {'nan' if line.startswith('1') else '0'}" for line in LINES[:4]]
    content = head[: head.index(b"end_header")] + "\n".join(["end_header", *rows, *LINES[4:], ""]).encode()
    assert fault(tmp_path, content) == ""
    assert "vertex 2 has 3 of 4 numbers" in fault(tmp_path, content.replace(b"1 1 0 nan", b"1 1 0"))


def test_ply_text_with_a_number_on_the_line_behind_is_told(tmp_path: Path) -> None:
    """As many words as listed do not make every line whole."""
    moved = with_row(with_row(TEXT, 0, "0 0"), 1, "0 1 0 0")
    assert fault(tmp_path, moved) == "vertex 0 has 2 of 3 numbers: export it again"
    plain = TEXT.replace(b"property uchar red\n", b"").replace(b" 255", b"")
    assert fault(tmp_path, plain) == ""
    moved = with_row(with_row(plain, 4, "3 0 1"), 5, "2 3 0 2 3")
    assert fault(tmp_path, moved) == "face 0 has 2 of 3 corners: export it again"


@pytest.mark.parametrize("name", ["vertex_index", "VERTEX_INDICES", "indices"])
def test_ply_list_of_corners_by_another_name_is_looked_at(tmp_path: Path, name: str) -> None:
    content = TEXT.replace(b"vertex_indices", name.encode()).replace(b"property uchar red\n", b"")
    assert fault(tmp_path, content) == ""
    assert fault(tmp_path, content.replace(b"3 0 2 3", b"3 0 2 4")).startswith("face 1 names the vertex 4")


def test_ply_texture_has_a_name_without_the_blanks_around_it_however_many(tmp_path: Path) -> None:
    """The square of this many blanks takes ten seconds."""
    blanks = " " * 50_000
    line = f"comment TextureFile  a b{blanks}.png  \n".encode()
    (tmp_path / "a.ply").write_bytes(TEXT.replace(b"element face", line + b"element face"))
    start = time.process_time()
    assert read_ply_header(tmp_path / "a.ply").textures == (f"a b{blanks}.png",)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("line", ["obj_info of Stanford", "comment", "comment of somebody"])
def test_ply_header_with_other_lines_between_says_the_same(tmp_path: Path, line: str) -> None:
    for begin in (b"property float y", b"element face"):
        content = TEXT.replace(begin, line.encode() + b"\n" + begin)
        (tmp_path / "a.ply").write_bytes(content)
        vertex, face = read_ply_header(tmp_path / "a.ply").elements
        assert vertex.has_positions
        assert face.corners == ("list", "uchar", "int", "vertex_indices")


@pytest.mark.parametrize("corner", ["4", "-1", "x", "1.0", "4294967295"])
def test_ply_face_that_names_no_vertex_is_named(tmp_path: Path, corner: str) -> None:
    expected = f"face 1 names the vertex {corner}, but the file has 4, counted from 0: export it again"
    assert fault(tmp_path, with_row(TEXT, 5, f"3 0 2 {corner} 255")) == expected
    assert fault(tmp_path, with_row(TEXT, 5, f"4 0 1 2 {corner} 255")) == expected, "among faces of other sizes"
    if corner not in ("4", "-1"):
        return
    for content, order in ((LITTLE, "<"), (BIG, ">")):
        face = struct.pack(f"{order}B3iB", 3, 0, 2, int(corner), 255)
        assert fault(tmp_path, content[: -len(face)] + face) == expected


def test_ply_face_in_a_later_block_of_lines_is_counted_from_the_first(tmp_path: Path) -> None:
    count = ROWS + 2
    content = TEXT[: TEXT.index(b"3 0 1 2")].replace(b"face 2", f"face {count}".encode())
    faces = b"3 0 1 2 255\n" * (count - 1)
    assert fault(tmp_path, content + faces + b"3 0 1 2 255\n") == ""
    assert f"face {count - 1} names the vertex 9" in fault(tmp_path, content + faces + b"3 0 1 9 255\n")
    assert f"{count + 3} of {count + 4} lines of data" in fault(tmp_path, content + faces)


@pytest.mark.parametrize("count", [0, 256])
def test_ply_face_of_more_corners_than_are_read_has_a_remedy(tmp_path: Path, count: int) -> None:
    expected = f"face 0 has {count} corners, and 1 to 255 are read: triangulate it"
    assert fault(tmp_path, with_row(TEXT, 4, f"{count}" + " 0" * count + " 255")) == expected
    wide = LITTLE.replace(b"list uchar", b"list ushort")[: -2 * 14] + struct.pack(f"<H{count}i", count, *[0] * count)
    assert fault(tmp_path, wide + b"\0" * 40) == expected


def test_ply_text_with_a_blank_line_among_its_data_is_told(tmp_path: Path) -> None:
    assert fault(tmp_path, with_row(TEXT, 2, f"\n{LINES[2]}")).startswith("there are blank lines between the lines")
