"""Samples that are left out of a training, and those drawn in their place."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from models.config import LoopConfig
from models.data.draws import REPLACEMENTS, as_ranges, clock_of, replace_left_out
from models.training.interruption import Interrupted
from tests.models.toy_training import LOOP, Line, run, weights

POISONED = 26


def test_samples_left_out_are_replaced_and_no_other_one_is(tmp_path: Path) -> None:
    line, straight = Line(poisoned=POISONED), Line()
    around = LOOP.model_copy(update={"left_out": ((26, 27), (40, 40), (500, 600))})
    rows = run(line, tmp_path / "around", loop=around).history
    run(straight, tmp_path / "straight")
    trained = [number for number in line.loaded if not 10_000 <= number < 10_016]  # those are for validation
    expected = [number + REPLACEMENTS if number in (26, 27, 40) else number for number in range(80)]
    assert trained == expected
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    assert weights(line.model) != weights(straight.model)


def test_samples_left_out_killed_and_resumed_equals_undisturbed(tmp_path: Path) -> None:
    around = LOOP.model_copy(update={"left_out": ((24, 30),)})
    straight, resumed = Line(poisoned=POISONED), Line(poisoned=POISONED)
    run(straight, tmp_path / "straight", loop=around)
    with pytest.raises(Interrupted):
        run(Line(poisoned=POISONED), tmp_path / "resumed", loop=around, stop_at=28)
    run(resumed, tmp_path / "resumed", loop=around)
    assert weights(resumed.model) == weights(straight.model)


def test_error_of_a_step_with_samples_left_out_names_those_that_were_drawn(tmp_path: Path) -> None:
    other = 27 + REPLACEMENTS
    with pytest.raises(FloatingPointError, match=rf"point-24, point-25, point-26, point-{other}\.") as refused:
        run(Line(poisoned=POISONED), tmp_path, loop=LOOP.model_copy(update={"left_out": ((27, 27),)}))
    assert f"leave these samples out with [24, 26], [{other}, {other}] in loop.left_out" in str(refused.value)


def test_replaced_samples_keep_their_place_in_the_order() -> None:
    ids = replace_left_out(range(8, 12), [(10, 20)])
    assert list(ids) == [8, 9, 10 + REPLACEMENTS, 11 + REPLACEMENTS]
    assert [clock_of(number) for number in ids] == [8, 9, 10, 11]
    assert replace_left_out(range(8, 12), [(12, 20), (0, 7)]) == range(8, 12)


def test_replacements_can_be_left_out_too() -> None:
    once = REPLACEMENTS + 10
    ids = replace_left_out(range(8, 12), [(10, 10), (once, once)])
    assert list(ids) == [8, 9, 10 + 2 * REPLACEMENTS, 11]
    assert [clock_of(number) for number in ids] == [8, 9, 10, 11]
    assert as_ranges(ids) == [[8, 9], [10 + 2 * REPLACEMENTS] * 2, [11, 11]]


@pytest.mark.parametrize("ranges", [[[5, 4]], [[-1, 4]], [[0, 3], [9, 8]], [[0, 2**62]]])
def test_left_out_that_is_no_range_is_refused(ranges: list[list[int]]) -> None:
    first, last = ranges[-1]
    with pytest.raises(ValidationError, match=rf"\[{first}, {last}\] is no range of sample ids: write the first id"):
        LoopConfig.model_validate(LOOP.model_dump() | {"left_out": ranges})


def test_no_range_leaves_no_trace_in_what_names_a_training() -> None:
    assert "left_out" not in LOOP.model_dump()
