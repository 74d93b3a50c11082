"""Samples of a step are dealt to ranks that end together: the paper's plan on 8 to 128 ranks, by counting."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.config import StageConfig
from models.data.draws import SamplePlan
from models.data.latents import LatentSet
from models.training.dealing import deal, imbalance
from tests.models.toy_diffusion import make_training
from tests.project_copy import ROOT

STAGE3 = StageConfig.model_validate(yaml.safe_load((ROOT / "params" / "paper.yaml").read_text())["train_stage3"])
BATCH = STAGE3.loop.batch_size
PLAN = SamplePlan(
    seed=0,
    num_items=180_000,
    num_conditions=10,
    num_targets=32,
    kept_targets=STAGE3.kept_targets,
    multi_condition_share=STAGE3.multi_condition_share,
    multi_conditions=STAGE3.multi_conditions,
    condition_drop=STAGE3.condition_drop,
    timesteps=STAGE3.noise.timesteps,
)


def cost_of(conditions: int) -> float:
    """About 10^12 operations of the paper's network: layers by views, attention by pairs of views."""
    views = conditions + STAGE3.kept_targets
    return 0.7 * views + 0.1225 * views**2


def conditions_of_step(step: int) -> list[int]:
    return [PLAN.count_conditions(sample) for sample in range(step * BATCH, (step + 1) * BATCH)]


def forward_passes(conditions: Sequence[int], dealt: Sequence[Sequence[int]], micro_batch: int) -> float:
    """Micro-batches of a rank, the mean over ranks: equal numbers of views go through the network together."""
    counts = [Counter(conditions[position] for position in positions) for positions in dealt]
    return sum(-(-number // micro_batch) for count in counts for number in count.values()) / len(dealt)


@pytest.mark.parametrize("micro_batch", [1, 2, 4])
@pytest.mark.parametrize("num_ranks", [8, 16, 32, 64, 128])
def test_no_rank_of_the_papers_stage_3_waits_for_another(num_ranks: int, micro_batch: int) -> None:
    slowest = []
    for step in range(8):
        costs = [cost_of(conditions) for conditions in conditions_of_step(step)]
        dealt = deal(costs, num_ranks, micro_batch)
        assert sorted(position for positions in dealt for position in positions) == list(range(BATCH))
        slowest.append(imbalance(costs, dealt))
    assert max(slowest) < 1.05
    assert sum(slowest) / len(slowest) < 1.03


def test_dealing_in_turn_leaves_a_quarter_of_128_ranks_idle() -> None:
    """What dealing by cost replaces, so that the test above is known to tell the two apart."""
    costs = [cost_of(conditions) for conditions in conditions_of_step(0)]
    assert imbalance(costs, [range(rank, BATCH, 128) for rank in range(128)]) > 1.25


def test_samples_of_equally_many_views_share_forward_passes() -> None:
    conditions = conditions_of_step(0)
    costs = [cost_of(number) for number in conditions]
    alone, grouped = (forward_passes(conditions, deal(costs, 64, together), 2) for together in (1, 2))
    assert grouped < 0.85 * alone


@given(st.lists(st.sampled_from([1.0, 1.6, 3.2]), min_size=1, max_size=40), st.integers(1, 40), st.integers(1, 4))
def test_every_sample_is_dealt_once_and_no_rank_is_left_without(
    costs: list[float], num_ranks: int, together: int
) -> None:
    num_ranks = min(num_ranks, len(costs))
    dealt = deal(costs, num_ranks, together)
    assert sorted(position for positions in dealt for position in positions) == list(range(len(costs)))
    assert all(dealt)
    assert len(dealt) == num_ranks
    assert all(positions == sorted(positions) for positions in dealt)


def test_equal_samples_are_dealt_in_turn() -> None:
    assert deal([1.0] * 11, 3) == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8]]


def test_a_plan_counts_the_condition_views_that_it_draws() -> None:
    assert [PLAN.count_conditions(sample) for sample in range(200)] == [
        len(PLAN.draw(sample).conditions) for sample in range(200)
    ]


@pytest.mark.slow(seconds=3)
def test_the_cost_of_a_sample_follows_from_its_condition_views(latent_folder: Path) -> None:
    training = make_training(LatentSet.open(latent_folder), multi_condition_share=0.5, multi_conditions=(2, 4))
    costs = training.sample_tflop(range(60))
    by_number: dict[int, set[float]] = {}
    for sample, cost in enumerate(costs):
        by_number.setdefault(training.reader.plan.count_conditions(sample), set()).add(cost)
    assert sorted(by_number) == [1, 2, 3, 4]
    assert all(len(found) == 1 for found in by_number.values())
    ordered = [cost for number in sorted(by_number) for cost in by_number[number]]
    assert ordered == sorted(ordered)
    assert ordered[-1] > 1.5 * ordered[0]
