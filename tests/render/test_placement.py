import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.errors import Unrenderable
from render.placement import Placement, Point, normalize_bounds

numbers = st.floats(-1e6, 1e6)
sides = st.floats(1e-3, 1e6)
corners = st.tuples(numbers, numbers, numbers)


@given(corners, st.tuples(sides, sides, sides), st.floats(0.1, 10))
def test_place_any_box_is_centred_with_the_longest_side_asked_for(low: Point, size: Point, longest: float) -> None:
    high = (low[0] + size[0], low[1] + size[1], low[2] + size[2])
    matrix = normalize_bounds(low, high, longest).world_from_object
    placed = np.array([[*low, 1], [*high, 1]]) @ matrix[:3].T
    tolerance = longest / max(size) * 1e-9  # what double precision leaves of coordinates up to a million
    np.testing.assert_allclose(placed.sum(axis=0), 0, atol=tolerance)
    assert (placed[1] - placed[0]).max() == pytest.approx(longest, abs=tolerance)


@pytest.mark.parametrize(
    ("low", "high", "reason"),
    [
        ((0, 0, 0), (0, 0, 0), "one point"),
        ((0, 0, 0), (np.nan, 1, 1), "not finite"),
        ((-np.inf, 0, 0), (1, 1, 1), "not finite"),
        ((0, 0, 0), (1e-30, 0, 0), "longest side"),
        ((0, 0, 0), (1e30, 0, 0), "longest side"),
    ],
)
def test_place_impossible_box_is_unrenderable(low: Point, high: Point, reason: str) -> None:
    with pytest.raises(Unrenderable, match=reason):
        normalize_bounds(low, high, 1.0)


def test_place_flat_box_is_fine() -> None:
    assert normalize_bounds((0, 0, 0), (4, 2, 0), 1.0) == Placement((2.0, 1.0, 0.0), 0.25)


@given(st.builds(Placement, corners, sides))
def test_placement_through_json_is_the_same(placement: Placement) -> None:
    row = json.loads(json.dumps(placement.as_json() | {"uid": "a"}))
    assert Placement.from_json(row) == placement
