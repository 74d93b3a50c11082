from typing import Any

import numpy as np
import pytest

from render.config import GatesConfig
from render.errors import Unrenderable
from render.images import Rgba
from render.quality_gates import Inspection, facts, measures
from tests.render.toys import GATES


def image(colour: tuple[int, ...] = (120, 90, 60), rows: slice = slice(4, 12), columns: slice = slice(4, 12)) -> Rgba:
    """A block in the middle of an empty image of 16 x 16."""
    rgba = np.zeros((16, 16, 4), dtype=np.uint8)
    rgba[rows, columns] = (*colour, 255)
    return rgba


def flags(rgba: Rgba, **gates: Any) -> list[str]:
    inspection = Inspection(GatesConfig(**(GATES | gates)), num_views=4)
    inspection.look("t00", rgba)
    return list(inspection.flags)


def test_gates_pass_a_good_view() -> None:
    assert measures(image()) == {"empty": 0.25, "clipped": 0.0, "black": pytest.approx(120 / 255), "blown": 0.0}
    assert flags(image()) == []


@pytest.mark.parametrize(
    ("rgba", "gate"),
    [
        (image(rows=slice(0, 0)), "empty"),
        (image(rows=slice(0, 8)), "clipped"),
        (image(columns=slice(10, 16)), "clipped"),
        (image(colour=(5, 3, 7)), "black"),
        (image(colour=(255, 255, 255)), "blown"),
    ],
)
def test_gates_name_what_is_wrong(rgba: Rgba, gate: str) -> None:
    assert flags(rgba) == [gate]


def test_gates_one_bright_spot_is_not_black_and_a_coloured_light_is_not_blown() -> None:
    rgba = image(colour=(5, 3, 7))
    rgba[5, 5:8, :3] = 200
    assert flags(rgba) == []
    assert flags(image(colour=(255, 255, 0))) == []


def test_gates_see_each_pixel_of_the_border_once() -> None:
    assert measures(np.full((4, 4, 4), 255, dtype=np.uint8))["clipped"] == 1
    assert measures(image(rows=slice(0, 1), columns=slice(0, 1)))["clipped"] == 1 / 60


def test_inspection_rejects_as_soon_as_a_gate_failed_too_often() -> None:
    inspection = Inspection(GatesConfig(**GATES), num_views=4)
    for name in ("t00", "t01"):
        inspection.look(name, image(rows=slice(0, 0)))
    inspection.look("t02", image())
    assert facts(inspection.flags) == {"flags": {"empty": ["t00", "t01"]}}
    with pytest.raises(Unrenderable, match=r"empty: 3 of 4 views .* share of 0.5; t03 has 0.0000, the limit is 0.005"):
        inspection.look("t03", image(rows=slice(0, 0)))


def test_inspection_flags_without_end_where_the_share_is_one() -> None:
    inspection = Inspection(GatesConfig(**GATES), num_views=2)
    for name in ("t00", "t01"):
        inspection.look(name, image(colour=(0, 0, 0)))
    assert inspection.flags == {"black": ["t00", "t01"]}


def test_facts_of_good_views_are_none() -> None:
    assert facts({}) == {}
