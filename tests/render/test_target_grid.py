"""The grid of target cameras that all objects share."""

import pytest

from render.cameras import Camera
from render.target_grid import TargetGrid
from tests.tasks.small_views import COLUMNS, ELEVATIONS, cameras_of


def grid() -> TargetGrid:
    return TargetGrid("o0", cameras_of(0)[:8])


def test_target_grid_geometry_says_rows_and_columns() -> None:
    rows = list(ELEVATIONS)
    assert grid().geometry == {"azimuths": COLUMNS, "elevations_deg": rows, "fov_deg": 60.0, "distance": 1.5}


def test_target_grid_of_objects_with_other_targets_is_refused() -> None:
    grid().require("o2", cameras_of(2)[:8])
    with pytest.raises(ValueError, match="target cameras of o1 are not those of o0"):
        grid().require("o1", cameras_of(1)[:7])


def test_target_grid_columns_count_from_the_first_azimuth_and_wrap() -> None:
    turns = (0.0, 90.0, 270.0, 360.0, -90.0)
    assert grid().columns("o0", [Camera("c00", turn, 10.0, 1.8, 60.0) for turn in turns]) == [0, 1, 3, 0, 3]


def test_target_grid_condition_of_others_beside_a_column_counts_as_on_it() -> None:
    assert grid().columns("o0", [Camera(f"c{at}", at, 10.0, 1.8, 60.0) for at in (100.0, 350.0, 80.0)]) == [1, 0, 1]


def test_target_grid_condition_between_columns_is_refused() -> None:
    with pytest.raises(ValueError, match=r"o0\.c00 stands at azimuth 115\.0"):
        grid().columns("o0", [Camera("c00", 115.0, 10.0, 1.8, 60.0)])
