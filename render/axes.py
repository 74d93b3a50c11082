"""Which axis of a file's coordinates points up, and the turn that makes it the world's Z.

Every turn is the shortest one, so the front of a file follows from its up axis: what faces +Z in a file that is Y up,
and -Y in one that is Z up, faces the world's -Y, azimuth 270.
"""

from typing import Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator

UpAxis = Literal["X", "Y", "Z", "-X", "-Y", "-Z"]
UP_AXES: tuple[UpAxis, ...] = get_args(UpAxis)

_ZUP_FROM_FILE: dict[UpAxis, list[list[int]]] = {
    "Z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-Z": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "Y": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "-Y": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "X": [[0, 0, -1], [0, 1, 0], [1, 0, 0]],
    "-X": [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
}
"""Rows of the rotation about x (about y for X and -X) that takes the axis to +Z."""


def parse_up_axis(text: str) -> UpAxis:
    """Return the up axis that `text` names; a plus sign and the case of the letter do not matter.

    Raises ValueError when it names none.
    """
    for axis in UP_AXES:
        if axis == text.strip().upper().removeprefix("+"):
            return axis
    raise ValueError(f"up axis {text!r} is none of {', '.join(UP_AXES)}")


def _parse_field(value: object) -> object:
    return parse_up_axis(value) if isinstance(value, str) else value


UpAxisField = Annotated[UpAxis | None, BeforeValidator(_parse_field)]
"""Type of a field of params.yaml that holds an up axis; null: what the file's format says."""


def zup_from_file(up_axis: UpAxis) -> npt.NDArray[np.float64]:
    """Return the 4x4 rotation from the coordinates of a file whose `up_axis` points up to coordinates that are Z up."""
    matrix = np.eye(4)
    matrix[:3, :3] = _ZUP_FROM_FILE[up_axis]
    return matrix


def correction(assumed: UpAxis, up_axis: UpAxis) -> npt.NDArray[np.float64]:
    """Return the 4x4 rotation that puts upright what an importer turned as if `assumed`, not `up_axis`, pointed up."""
    return zup_from_file(up_axis) @ zup_from_file(assumed).T
