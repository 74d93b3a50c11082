"""The share of machines at work, on cases small enough to see."""

import pytest
import yaml

from flows.utilization import pool_busy, ranks_busy
from models.config import StageConfig
from tests.project_copy import ROOT


@pytest.mark.parametrize(
    ("costs", "workers", "busy"),
    [
        ([1.0] * 4, 2, 1.0),
        ([1.0] * 3, 2, 3 / 4),
        ([1.0], 4, 1 / 4),
        ([1.0, 1.0, 4.0], 2, 6 / 10),  # the long one comes last
        ([4.0, 1.0, 1.0], 2, 6 / 8),
        ([], 3, 1.0),
    ],
)
def test_free_workers_take_the_next_job(costs: list[float], workers: int, busy: float) -> None:
    assert pool_busy(costs, workers) == pytest.approx(busy)


def stage(**changes: object) -> StageConfig:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())["train_stage3"]
    return StageConfig.model_validate(content | changes)


def test_ranks_beyond_the_batch_are_idle() -> None:
    single = stage(multi_condition_share=0.0)
    assert single.loop.batch_size == 4
    assert ranks_busy(single, {1: 2.0}, 4, num_conditions=12) == 1
    assert ranks_busy(single, {1: 2.0}, 3, num_conditions=12) == pytest.approx(4 / 6)
    assert ranks_busy(single, {1: 2.0}, 8, num_conditions=12) == pytest.approx(1 / 2)


def test_samples_of_several_conditions_make_others_wait() -> None:
    costs = {1: 1.0, 2: 1.5, 3: 2.2, 4: 3.0}
    assert 0.4 < ranks_busy(stage(multi_condition_share=0.5), costs, 4, num_conditions=12) < 0.9
