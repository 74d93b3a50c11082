"""Deals the samples of a batch to the ranks so that all take equally long. Knows neither samples nor ranks' work."""

import heapq
from collections.abc import Iterator, Sequence
from itertools import groupby

BALANCED = 1.03
"""Largest cost of a rank over the mean that is accepted for samples of equal cost to stay together."""


def deal(costs: Sequence[float], num_ranks: int, together: int = 1) -> list[list[int]]:
    """Deal samples to ranks: the costliest first, each to the rank with the least cost so far.

    The result is a function of the arguments, so that every rank finds the same one. Samples of equal cost, which have
    equally many views, go to one rank in groups of `together`, the size of a micro-batch, as long as no rank then costs
    more than BALANCED times the mean; the cheapest go one by one, since they even out the rest. Samples that all cost
    the same are dealt in turn.

    Args:
        costs: Cost of each sample, in any unit.
        num_ranks: Number of ranks, at most as many as samples.
        together: Largest group of samples that go to one rank at once.

    Returns:
        The positions of each rank's samples, ascending; no rank is left without.
    """
    groups = list(_groups(costs, together))
    if len(groups) >= num_ranks:
        dealt = _deal(costs, num_ranks, groups)
        if together == 1 or imbalance(costs, dealt) <= BALANCED:
            return dealt
    return _deal(costs, num_ranks, list(_groups(costs, 1)))


def imbalance(costs: Sequence[float], dealt: Sequence[Sequence[int]]) -> float:
    """Return the cost of the costliest rank over the mean of all, 1 where all are equal."""
    loads = [sum(costs[position] for position in positions) for positions in dealt]
    return max(loads) * len(loads) / sum(loads)


def _groups(costs: Sequence[float], together: int) -> Iterator[list[int]]:
    """Yield positions of samples of equal cost in groups, the costliest first; those of the cheapest are alone."""
    ordered = sorted(range(len(costs)), key=lambda position: (-costs[position], position))
    for cost, equals in groupby(ordered, key=lambda position: costs[position]):
        positions, size = list(equals), 1 if cost == min(costs) else together
        for first in range(0, len(positions), size):
            yield positions[first : first + size]


def _deal(costs: Sequence[float], num_ranks: int, groups: Sequence[list[int]]) -> list[list[int]]:
    """Give each group to the rank with the least cost so far; of equal ranks to the first."""
    dealt: list[list[int]] = [[] for _ in range(num_ranks)]
    loads = [(0.0, rank) for rank in range(num_ranks)]  # a heap as it stands
    for group in groups:
        load, rank = heapq.heappop(loads)
        dealt[rank].extend(group)
        heapq.heappush(loads, (load + sum(costs[position] for position in group), rank))
    return [sorted(positions) for positions in dealt]
