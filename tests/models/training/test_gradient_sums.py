"""Gradients are summed while the backward pass goes on, to the bits of sums that begin when it is over."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn

from models.training import distributed as ranks_module
from models.training.distributed import SINGLE, init_distributed
from models.training.gradient_sums import GradientSums, leaves_of
from models.training.trainable import MicroBatchLoss
from tests.forked_ranks import ForkedRanks
from tests.models.toy_training import LOOP, Line, run, weights

WIDTH, LAYERS = 8, 5


class Network(nn.Module):
    """Layers one behind the other, of which a rank may leave one out, and one that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))
            self.unused = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, left_out: int) -> Tensor:
        for number, layer in enumerate(self.layers):
            x = x if number == left_out else layer(x).tanh()
        return x


def losses(network: Network, discriminator: nn.Module, rank: int) -> list[Tensor]:
    """Three micro-batches: the first uses all layers, the others leave another one out on each rank."""
    rng = torch.Generator().manual_seed(rank)
    parts = [network(torch.randn(3, WIDTH, generator=rng), left_out) for left_out in (-1, rank, 2 + rank)]
    return [part.square().mean() for part in parts[:2]] + [discriminator(parts[2]).mean()]


def summed_afterwards(parameters: list[nn.Parameter]) -> list[Tensor]:
    """Sums of one tensor each, begun when all backward passes are over."""
    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad.clone() for weight in parameters]
    for gradient in gradients:
        distributed.all_reduce(gradient)
    return gradients


def sum_and_compare(folder: Path, *, told: bool) -> None:
    with init_distributed(torch.device("cpu")) as ranks, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks_module, "BUCKET", 2 * (WIDTH + 1) * WIDTH)  # two layers
        network, discriminator = Network(), nn.Linear(WIDTH, 1)
        nn.init.constant_(discriminator.weight, 0.5)
        idle = nn.Linear(WIDTH, 1)
        model, others = list(network.parameters()), [*discriminator.parameters(), *idle.parameters()]
        sums = GradientSums(model, others, ranks)
        left: list[int] = []  # buckets that are not begun when the backward pass reaches the first layer
        model[0].register_hook(lambda _: left.append(len(sums._buckets)))
        for _ in range(2):
            for loss in losses(network, discriminator, ranks.rank):
                loss.backward()
            truth = summed_afterwards([*model, *discriminator.parameters()])
            network.zero_grad()
            discriminator.zero_grad()
            left.clear()
            *first, last = losses(network, discriminator, ranks.rank)
            for loss in first:
                loss.backward()
            if told:
                sums.begin(last)
            last.backward()
            sums.finish()
            for weight, total in zip([*model, *discriminator.parameters()], truth, strict=True):
                assert weight.grad is not None
                assert torch.equal(weight.grad, total)
            assert all(weight.grad is None for weight in idle.parameters())
            assert left[-1] == (1 if told else 0), "the bucket of the first layers"
            network.zero_grad()
            discriminator.zero_grad()
        (folder / f"done-{ranks.rank}").touch()


@pytest.mark.slow
@pytest.mark.parametrize("told", [True, False])
def test_sums_of_two_ranks_equal_those_that_begin_when_all_is_over(tmp_path: Path, *, told: bool) -> None:
    ForkedRanks(2).run(partial(sum_and_compare, tmp_path, told=told), tmp_path / "ranks", lambda: None, 2)
    assert len(list(tmp_path.glob("done-*"))) == 2


def test_one_rank_gets_zeros_for_what_it_does_not_use_and_nothing_for_other_networks() -> None:
    network, other = Network(), nn.Linear(WIDTH, 1)
    sums = GradientSums(list(network.parameters()), list(other.parameters()), SINGLE)
    loss = network(torch.ones(1, WIDTH), 1).sum()
    sums.begin(loss)
    loss.backward()
    sums.finish()
    assert network.unused.weight.grad is not None
    assert not network.unused.weight.grad.any()
    first = next(network.parameters()).grad
    assert first is not None
    assert first.any()
    assert other.weight.grad is None


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=pytest.mark.slow(seconds=3))])
def test_leaves_of_a_loss_are_what_its_backward_pass_gives_a_gradient(is_compiled: bool) -> None:
    network = Network()
    if is_compiled:
        network.compile(backend="aot_eager")
    loss = torch.utils.checkpoint.checkpoint(network, torch.ones(1, WIDTH), 3, use_reentrant=False).sum()
    leaves = leaves_of(loss)
    loss.backward()
    assert leaves == {weight for weight in network.parameters() if weight.grad is not None}
    assert leaves_of(torch.zeros(())) == set()


class LateLine(Line):
    """Says which micro-batch is the last."""

    def micro_batches(self, batch: tuple[Tensor, Tensor]) -> Any:
        parts = list(super().micro_batches(batch))
        for number, part in enumerate(parts, start=1):
            yield MicroBatchLoss(part.loss, part.metrics, is_last=number == len(parts))


def train_line(folder: Path, kind: type[Line]) -> None:
    with init_distributed(torch.device("cpu")) as ranks:
        line = kind(num_parts=2)
        run(line, folder / kind.__name__ / str(ranks.rank), ranks=ranks, loop=LOOP)
        (folder / f"{kind.__name__}-{ranks.rank}").write_bytes(b"".join(weights(line.model)))


@pytest.mark.slow
def test_training_ends_with_the_same_bits_whether_its_gradients_are_summed_early_or_not(tmp_path: Path) -> None:
    for kind in (Line, LateLine):
        job = partial(train_line, tmp_path, kind)
        ForkedRanks(2).run(job, tmp_path / f"ranks-{kind.__name__}", lambda: None, 2)
    ends = {(tmp_path / f"{kind.__name__}-{rank}").read_bytes() for kind in (Line, LateLine) for rank in (0, 1)}
    assert len(ends) == 1
