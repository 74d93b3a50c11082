import numpy as np
import pytest

from models.data.draws import SamplePlan, aligned_views, item_of


def make_plan(**overrides: object) -> SamplePlan:
    fields = {
        "seed": 5,
        "num_items": 7,
        "num_conditions": 10,
        "num_targets": 32,
        "kept_targets": 8,
        "multi_condition_share": 0.5,
        "multi_conditions": (2, 10),
        "condition_drop": 0.1,
        "timesteps": 1000,
    }
    return SamplePlan(**(fields | overrides))  # type: ignore[arg-type]


def as_tuple(plan: SamplePlan, number: int) -> tuple[object, ...]:
    drawn = plan.draw(number)
    return (drawn.item, *drawn.conditions, -1, *drawn.targets, drawn.timestep, drawn.is_unconditional)


def test_draw_any_order_and_a_fresh_plan_give_the_same_samples() -> None:
    forward = {number: as_tuple(make_plan(), number) for number in range(50)}
    backward = {number: as_tuple(make_plan(), number) for number in reversed(range(50))}
    assert forward == backward
    assert len(set(forward.values())) == 50


def test_draw_other_seed_gives_other_samples() -> None:
    assert as_tuple(make_plan(seed=6), 3) != as_tuple(make_plan(), 3)


def test_item_of_each_epoch_holds_every_item_once_in_a_new_order() -> None:
    epochs = [[item_of(0, epoch * 20 + position, 20) for position in range(20)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_draw_many_samples_follow_the_stated_distribution() -> None:
    drawn = [make_plan().draw(number) for number in range(4000)]
    counts = np.array([len(sample.conditions) for sample in drawn])
    assert np.mean(counts > 1) == pytest.approx(0.5, abs=0.03)
    assert set(counts.tolist()) == set(range(1, 11))
    several = np.bincount(counts[counts > 1], minlength=11)[2:] / np.sum(counts > 1)
    assert np.allclose(several, 1 / 9, atol=0.03)
    assert np.mean([sample.is_unconditional for sample in drawn]) == pytest.approx(0.1, abs=0.02)
    kept = np.bincount(np.concatenate([sample.targets for sample in drawn]), minlength=32) / len(drawn)
    assert np.allclose(kept, 0.25, atol=0.03)
    assert np.mean([sample.timestep for sample in drawn]) == pytest.approx(499.5, abs=15)


def test_draw_targets_are_distinct_and_conditions_are_distinct() -> None:
    for number in range(100):
        sample = make_plan().draw(number)
        assert len(set(sample.targets.tolist())) == 8
        assert len(set(sample.conditions.tolist())) == len(sample.conditions)


def test_aligned_views_column_of_the_reference_becomes_column_zero() -> None:
    views = aligned_views(np.arange(32), column=3, num_columns=8)
    assert views[:8].tolist() == [3, 4, 5, 6, 7, 0, 1, 2]
    assert views[8:16].tolist() == [11, 12, 13, 14, 15, 8, 9, 10]
    assert np.array_equal(aligned_views(np.arange(32), column=0, num_columns=8), np.arange(32))
