import pytest

from render.errors import Unrenderable
from render.obj.vertices import checked, with_all_colours


@pytest.mark.parametrize(
    "line",
    [
        "v 1 nan 3",
        "v -Inf 2 3",
        "  v 1 2 -nan(ind)",
        "v 1 1.#QNAN 2",
        "v 1e39 0 0",
        "v 1 2 1E+300 0.5 0.5 0.5",
        "v null 0 0",
        "v 0 undefined 0",
        "v 0 0 None",
    ],
)
def test_checked_position_that_is_not_finite_is_refused(line: str) -> None:
    with pytest.raises(Unrenderable, match="vertices are not finite"):
        checked(f"o nano\n{line}\nvn 0 0 1\n".encode())


@pytest.mark.parametrize(
    "line",
    [
        "vn nan 0 0",
        "vt nan 0",
        "o inf",
        "v 1 2 3 # inf",
        "v 1 2 3 #nan",
        "# v nan 1 2",
        "v 1e-39 1e38 2",
        "usemtl a,b",
        "v 1 2 3 # a, b",
    ],
)
def test_checked_finite_positions_are_left_alone(line: str) -> None:
    content = f"# info, nanometres\n{line}\nv 0 0 0".encode()
    assert checked(content) is content


def test_checked_colours_that_are_not_finite_become_grey() -> None:
    content = b"v 1 2 3 0 1 0\r\nv 4 5 6 nan nan nan\r\nv 7 8 9 inf 0 0\r\n"
    assert checked(content) == b"v 1 2 3 0 1 0\r\nv 4 5 6 0.5 0.5 0.5\nv 7 8 9 0.5 0.5 0.5\n"


@pytest.mark.parametrize("line", ["v 1,5 2,0 3,25", "v 1.5, 2.0, 3.0"])
def test_checked_commas_in_numbers_are_refused_with_the_line(line: str) -> None:
    with pytest.raises(Unrenderable, match=f"written with commas .'{line}'.: write decimal points"):
        checked(f"{line}\n".encode())


@pytest.mark.parametrize("line", ["v 1.0 abc 2.0", "v 1.0 2.0", "v 1 2f 3", "v\t0x1 2 3", "v 1 2 ;"])
@pytest.mark.parametrize("head", ["", "o a\n"])
def test_checked_vertex_without_three_numbers_is_refused_with_the_line(head: str, line: str) -> None:
    with pytest.raises(Unrenderable, match=f"a vertex has no three numbers .'{line}'.: export it again"):
        checked(f"{head}{line}\r\nv 1 2 3\n".encode())


@pytest.mark.parametrize(
    "line", ["v 1 2 3#c", "v 1. -.2e+1 3;", "v 1 2 \\\n3", "v +1 2e-5 .5 1.0", "v\t1\t2\t3 abc", "vp 0.5", "v 1 2 3"]
)
def test_checked_vertex_with_three_numbers_is_left_alone(line: str) -> None:
    for content in (f"{line}\nv 0 0 0", f"v 0 0 0\n{line}"):
        assert checked(content.encode()) == content.encode()


def test_with_all_colours_gives_white_to_vertices_between_coloured_ones() -> None:
    content = b"# a\nv 1 2 3\r\nvn 0 0 1\nv 4 5 6 1 0 0\n"
    assert with_all_colours(content) == b"# a\nv 1 2 3 1 1 1\nvn 0 0 1\nv 4 5 6 1 0 0\n"
    for same in (b"v 1 2 3\nv 4 5 6\n", b"v 1 2 3 1 0 0\nv 4 5 6 1 0 0\n", b"f 1 2 3\n", b""):
        assert with_all_colours(same) is same


def test_with_all_colours_colours_below_zero_become_zero() -> None:
    content = b"v -1 -2 -3 1 0 0\nvn -1 0 0\nv -4 5 6 -1e-9 1 -0.5\r\nv 7 8 9 1 0 0\n"
    expected = b"v -1 -2 -3 1 0 0\nvn -1 0 0\nv -4 5 6 0 1 0\nv 7 8 9 1 0 0\n"
    assert with_all_colours(content) == expected
    assert with_all_colours(expected) is expected
