"""Up axes: names and rotations; `test_up_axis.py` loads files with them."""

import numpy as np
import pytest

from render.axes import UP_AXES, UpAxis, correction, parse_up_axis, zup_from_file


def vector(axis: UpAxis) -> np.ndarray:
    sign = -1 if axis.startswith("-") else 1
    return sign * np.eye(4)["XYZ".index(axis[-1])]


@pytest.mark.parametrize("axis", UP_AXES)
def test_zup_from_file_takes_the_axis_to_plus_z_by_a_rotation(axis: UpAxis) -> None:
    turn = zup_from_file(axis)
    np.testing.assert_array_equal(turn @ vector(axis), [0, 0, 1, 0])
    np.testing.assert_array_equal(turn @ turn.T, np.eye(4))
    assert np.linalg.det(turn) == pytest.approx(1), "no mirror"


def test_zup_from_file_fronts_of_y_up_and_z_up_files_face_minus_y() -> None:
    np.testing.assert_array_equal(zup_from_file("Y") @ vector("Z"), vector("-Y"))
    np.testing.assert_array_equal(zup_from_file("Z") @ vector("-Y"), vector("-Y"))


@pytest.mark.parametrize("axis", UP_AXES)
def test_correction_undoes_what_the_importer_assumed(axis: UpAxis) -> None:
    np.testing.assert_array_equal(correction(axis, axis), np.eye(4))
    np.testing.assert_array_equal(correction("Y", axis) @ zup_from_file("Y"), zup_from_file(axis))


@pytest.mark.parametrize(("text", "axis"), [("Z", "Z"), ("z", "Z"), (" +Y ", "Y"), ("-x", "-X")])
def test_parse_up_axis_takes_signs_and_small_letters(text: str, axis: str) -> None:
    assert parse_up_axis(text) == axis


@pytest.mark.parametrize("text", ["", "up", "Z up", "--Z", "W"])
def test_parse_up_axis_other_text_raises_with_the_choices(text: str) -> None:
    with pytest.raises(ValueError, match=r"is none of X, Y, Z, -X, -Y, -Z"):
        parse_up_axis(text)
