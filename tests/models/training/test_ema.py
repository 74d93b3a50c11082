import pytest
import torch
from torch import nn

from models.training.ema import MovingAverage


def test_moving_average_after_many_steps_equals_its_closed_form() -> None:
    model = nn.Linear(3, 2)
    average = MovingAverage(model, decay=0.6)
    start = model.weight.detach().double().clone()
    values = [torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in range(12)]
    for step, value in enumerate(values, start=1):
        with torch.no_grad():
            model.weight.copy_(value)
        average.update(step)

    decays = [min(0.6, (1 + n) / (10 + n)) for n in range(1, 13)]
    weight_of = [(1 - decays[n]) * torch.tensor(decays[n + 1 :]).prod().double() for n in range(12)]
    expected = torch.tensor(decays).prod().double() * start
    expected = expected + sum(weight * value for weight, value in zip(weight_of, values, strict=True))
    torch.testing.assert_close(average.state()["weight"].double(), expected, atol=1e-6, rtol=1e-5)


def test_moving_average_decay_zero_equals_newest_weights() -> None:
    model = nn.Linear(3, 2)
    average = MovingAverage(model, decay=0)
    with torch.no_grad():
        model.weight.normal_()
    average.update(1)
    assert torch.equal(average.state()["weight"], model.weight)


def test_moving_average_applied_returns_own_weights_after_an_error() -> None:
    model = nn.Linear(3, 2)
    average = MovingAverage(model, decay=0.9)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    with average.applied():
        assert torch.equal(model.weight, before)
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert torch.equal(model.weight, before + 1)
    assert model.weight.requires_grad
