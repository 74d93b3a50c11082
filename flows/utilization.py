"""Which share of the cores or cards a stage keeps busy, by dealing its jobs as the pool and the ranks deal them."""

import heapq
from collections.abc import Mapping, Sequence
from statistics import fmean

from models.config import StageConfig
from models.data.draws import SamplePlan
from models.training.dealing import deal, imbalance

STEPS = 8
"""Of a training, whose samples are dealt: the mean over 64 of the paper's stage 3 differs by a thousandth."""

ALONE = "one process, whatever there is; run it before the machines are rented"
FEW_JOBS = "fewer machines end it as soon"
DOWNLOAD = "the line is the limit; run it before the machines are rented (HF_TOKEN raises the hub's limit of requests)"
BATCH = "a loop.batch_size that the number of cards divides"
REMEDIES: Mapping[str, str] = {
    "catalog": ALONE,
    "select": ALONE,
    "download": DOWNLOAD,
    "train-vae": BATCH,
    "train-stage1": BATCH,
    "train-stage2": BATCH,
    "train-stage3": "a larger loop.batch_size, whose samples are easier to deal evenly",
}
"""Stage -> what lets it waste less; FEW_JOBS for all others."""


def pool_busy(costs: Sequence[float], workers: int) -> float:
    """Return the mean share of the workers at work from the first job's beginning to the last one's end.

    Args:
        costs: Of the jobs, in the order in which free workers take them, in any unit.
        workers: At least 1.
    """
    ends = [0.0] * workers  # a heap as it stands
    for cost in costs:
        heapq.heapreplace(ends, ends[0] + cost)
    last = max(ends)
    return sum(costs) / (workers * last) if last else 1.0


def ranks_busy(config: StageConfig, costs: Mapping[int, float], ranks: int, num_conditions: int) -> float:
    """Return the mean share of the ranks at work in a step of a diffusion stage, communication not counted.

    Args:
        config: The stage.
        costs: Number of condition views -> cost of such a sample, in any unit.
        ranks: Number of ranks; those beyond the batch have no sample.
        num_conditions: Condition views of each object.
    """
    plan = SamplePlan(
        seed=0,
        num_items=1,
        num_conditions=num_conditions,
        num_targets=config.kept_targets,
        kept_targets=config.kept_targets,
        multi_condition_share=config.multi_condition_share,
        multi_conditions=config.multi_conditions,
        condition_drop=config.condition_drop,
        timesteps=config.noise.timesteps,
    )
    batch = config.loop.batch_size
    dealing_ranks = min(ranks, batch)
    shares = []
    for step in range(STEPS):
        of_step = [costs[plan.count_conditions(sample)] for sample in range(step * batch, (step + 1) * batch)]
        shares.append(1 / imbalance(of_step, deal(of_step, dealing_ranks)))
    return fmean(shares) * dealing_ranks / ranks
