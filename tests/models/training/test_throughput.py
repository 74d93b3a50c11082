from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.fx import GraphModule

from models.training.history import History
from models.training.throughput import ThroughputMeter, count_tflop


def test_network_that_was_counted_is_still_compiled() -> None:
    compiled = []

    def backend(graph: GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        compiled.append(len(inputs))
        return graph.forward

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 16)

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            moved: torch.Tensor = self.layer(given) + 1
            return moved

    network = Network()
    network.compile(backend=backend)
    given = torch.randn(4, 8)
    assert count_tflop(lambda: network(given), given.device) == pytest.approx(2 * 4 * 8 * 16 / 1e12)
    assert not compiled
    network(given)
    assert compiled


def test_meter_says_how_long_it_waited_for_data() -> None:
    now = 100.0

    def batches() -> Iterator[int]:
        nonlocal now
        for number in range(3):
            now += 3
            yield number

    meter = ThroughputMeter(10, torch.device("cpu"), clock=lambda: now)
    for _ in meter.timed(batches()):
        now += 1
    first = meter.since_last(40)
    assert first["train/data_wait_share"] == 9 / 12
    assert first["train/samples_per_second"] == 30 / 12
    assert first["train/memory_gib"] > 0
    now += 5
    later = meter.since_last(50)
    assert later["train/data_wait_share"] == 0
    assert later["train/samples_per_second"] == 10 / 5


def test_history_knows_the_best_only_where_it_was_validated() -> None:
    history = History()
    assert not history.is_best_at(0)
    history.append(8, {"val/loss": 2.0})
    assert history.is_best_at(8)
    assert not history.is_best_at(12), "nobody looked"
    history.append(16, {"val/loss": 3.0})
    assert not history.is_best_at(16)
    history.append(24, {"val/loss": 1.0, "train/loss": 9.0})
    assert history.is_best_at(24)
