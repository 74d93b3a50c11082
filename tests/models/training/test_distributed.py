"""Several processes train what one trains: the loop itself, joined by `models.training.distributed`."""

import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import distributed
from torch.distributed.fsdp import FSDPModule
from torch.utils._python_dispatch import TorchDispatchMode

from infra.execution.torchrun import TorchrunLauncher
from models.data.latents import LatentSet
from models.training.checkpoints import Checkpoints
from models.training.distributed import init_distributed
from models.training.history import as_csv
from models.training.interruption import Interrupted
from models.training.loop import train
from models.training.sharding import full_tensor, shard, sum_gradients
from tests.forked_ranks import ForkedRanks
from tests.models.toy_diffusion import make_training
from tests.models.toy_diffusion import run as run_stage
from tests.models.toy_models import toy_inputs, toy_unet
from tests.models.toy_training import LOOP as TOY_LOOP
from tests.models.toy_training import OPTIMIZER, Line, assert_equal_bits, run, weights
from tests.models.training.toy_ranks import LONGER, end_state


class SlowCheckpoints(Checkpoints):
    def save(self, *arguments: Any, **keywords: Any) -> Path:
        time.sleep(2)
        return super().save(*arguments, **keywords)


def stop_at_once(latent_folder: Path, folder: Path) -> None:
    """Asked to stop after the first step; notes whether the state was saved when it left."""
    torch.set_num_threads(1)
    with init_distributed(torch.device("cpu")) as ranks:
        try:
            training = make_training(LatentSet.open(latent_folder))
            checkpoints = SlowCheckpoints(folder, "toy")
            run_stage(training, folder, LONGER, checkpoints=checkpoints, is_stopped=ranks.rank == 1, ranks=ranks)
        except Interrupted:
            saved = [path.name for path in folder.glob("samples-*.pt")]
            (folder / f"left-{ranks.rank}").write_text(" ".join(saved))


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def assert_equal_trainings(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Up to the order in which sums are added up."""
    for name in ("train/loss", "train/grad_norm", "val/loss"):
        ours, theirs = ([row[name] for row in state["history"]["rows"] if name in row] for state in (found, expected))
        assert ours == pytest.approx(theirs, rel=1e-4), name
    assert_equal_ends(found, expected)


def assert_equal_ends(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for kind in ("weights", "average"):
        assert found[kind].keys() == expected[kind].keys()
        for name, value in expected[kind].items():
            torch.testing.assert_close(found[kind][name], value, rtol=1e-2, atol=2e-4, msg=name)


@pytest.mark.slow
def test_two_processes_train_what_one_trains(trained_by_one: dict[str, Any], trained_by_two: dict[str, Any]) -> None:
    assert_equal_trainings(trained_by_two, trained_by_one)


@pytest.mark.slow
def test_two_processes_that_share_the_weights_train_what_one_trains(
    latent_folder: Path, trained_by_one: dict[str, Any], tmp_path: Path
) -> None:
    assert_equal_trainings(end_state(2, latent_folder, tmp_path / "sharded", sharded=True), trained_by_one)


@pytest.mark.slow
def test_two_processes_that_share_the_weights_in_bfloat16_learn_what_one_does_under_autocast(
    latent_folder: Path, tmp_path: Path
) -> None:
    alone = end_state(1, latent_folder, tmp_path / "alone", precision="bf16")
    found = end_state(2, latent_folder, tmp_path / "sharded", sharded=True, precision="bf16")
    for name in ("train/loss", "val/loss"):
        ours, theirs = ([row[name] for row in end["history"]["rows"] if name in row] for end in (found, alone))
        assert ours == pytest.approx(theirs, rel=0.02), name
    assert all(weight.dtype == torch.float32 for weight in found["weights"].values())


class CountedSums(TorchDispatchMode):
    """Counts the reduce-scatters, of which FSDP makes one for each group of weights."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += "reduce_scatter" in str(function)
        return function(*args, **(kwargs or {}))


def sum_once(folder: Path) -> None:
    """Two micro-batches of a step; the gradients against those of a network of one's own, summed by hand."""
    with init_distributed(torch.device("cpu")) as ranks:
        whole, split = toy_unet().train(), toy_unet().train()
        shard(split, torch.device("cpu"), ranks)
        batches = [toy_inputs(1, 2 + ranks.rank + more, num_conditions=1 + more) for more in (0, 1)]
        with CountedSums() as sums:
            for batch, is_last in zip(batches, (False, True), strict=True):
                loss = split(**batch).square().mean()
                sum_gradients(split, now=is_last)
                loss.backward()
        for batch in batches:
            whole(**batch).square().mean().backward()
        groups = sum(isinstance(module, FSDPModule) for module in split.modules())
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in whole.parameters()]
        ranks.all_reduce_sum(gradients)
        for weight, gradient in zip(split.parameters(), gradients, strict=True):
            torch.testing.assert_close(full_tensor(weight.grad), gradient, rtol=1e-4, atol=1e-6)
        assert 0.9 * groups < sums.count <= groups, "a sum for each group, not one for each micro-batch"
        (folder / f"done-{ranks.rank}").touch()


@pytest.mark.slow
def test_gradients_of_shared_weights_are_summed_once_a_step(tmp_path: Path) -> None:
    ForkedRanks(2).run(partial(sum_once, tmp_path), tmp_path / "exchange_dir", lambda: None, 2)
    assert len(list(tmp_path.glob("done-*"))) == 2


@pytest.mark.nightly
@pytest.mark.slow
def test_two_processes_that_share_frozen_weights_too_train_what_one_trains(latent_folder: Path, tmp_path: Path) -> None:
    alone = end_state(1, latent_folder, tmp_path / "alone", spares=True)
    assert_equal_trainings(end_state(2, latent_folder, tmp_path / "sharded", sharded=True, spares=True), alone)


@pytest.mark.nightly
@pytest.mark.slow
def test_training_goes_on_with_other_processes_than_it_began_with(
    latent_folder: Path, trained_by_one: dict[str, Any], tmp_path: Path
) -> None:
    end_state(2, latent_folder, tmp_path / "run", sharded=True, samples=10)
    end_state(1, latent_folder, tmp_path / "run", samples=15)
    end_state(2, latent_folder, tmp_path / "run", samples=20)
    assert_equal_ends(end_state(2, latent_folder, tmp_path / "run", sharded=True), trained_by_one)


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_two_processes_of_which_one_is_killed_end_as_if_nothing_had_happened(
    latent_folder: Path, trained_by_two: dict[str, Any], tmp_path: Path, *, sharded: bool
) -> None:
    straight = end_state(2, latent_folder, tmp_path / "straight", sharded=True) if sharded else trained_by_two
    killed = partial(end_state, 2, latent_folder, tmp_path / "killed", fault=kill_myself, sharded=sharded)
    if sharded:
        with pytest.raises(RuntimeError, match=r"ranks \[.*\] failed"):
            killed()
        resumed = killed()
    else:
        resumed = killed(launcher=TorchrunLauncher(2))
    assert (tmp_path / "killed" / "struck").exists()
    assert as_csv(resumed["history"]["rows"]) == as_csv(straight["history"]["rows"])
    for key in ("weights", "average", "optimizer"):
        assert_equal_bits(resumed[key], straight[key])


@pytest.mark.slow
def test_processes_that_are_stopped_leave_once_the_state_is_saved(latent_folder: Path, tmp_path: Path) -> None:
    ForkedRanks(2).run(partial(stop_at_once, latent_folder, tmp_path), tmp_path / "exchange_dir", lambda: None, 2)
    for rank in (0, 1):
        assert (tmp_path / f"left-{rank}").read_text().startswith("samples-000000000005-")


def count_sums(folder: Path) -> None:
    """Trains a line; notes how often it summed over the ranks."""
    with init_distributed(torch.device("cpu")) as ranks, pytest.MonkeyPatch.context() as patch:
        counted = Mock(wraps=distributed.all_reduce)
        patch.setattr(distributed, "all_reduce", counted)
        run(Line(), folder / "run", ranks=ranks)
        (folder / f"sums-{ranks.rank}").write_text(str(counted.call_count))


@pytest.mark.slow
def test_processes_sum_twice_in_a_step_gradients_and_what_is_said(tmp_path: Path) -> None:
    ForkedRanks(2).run(partial(count_sums, tmp_path), tmp_path / "exchange_dir", lambda: None, 2)
    num_steps = TOY_LOOP.samples // TOY_LOOP.batch_size
    assert [int((tmp_path / f"sums-{rank}").read_text()) for rank in (0, 1)] == [2 * num_steps] * 2


def stop_late(folder: Path) -> None:
    """The second process alone is asked to stop, when it is asked for the seventh time."""
    with init_distributed(torch.device("cpu")) as ranks:
        asked = []

        def stop() -> bool:
            asked.append(1)
            return ranks.rank == 1 and len(asked) > 6

        line = Line()
        with suppress(Interrupted):
            train(
                line,
                TOY_LOOP,
                OPTIMIZER,
                checkpoints=Checkpoints(folder, "toy"),
                report=lambda *_: None,
                stop=stop,
                ranks=ranks,
            )
            raise AssertionError("it was not stopped")
        (folder / f"steps-{ranks.rank}").write_text(str(len(asked)))


@pytest.mark.slow
def test_processes_of_which_one_is_asked_to_stop_end_the_same_step(tmp_path: Path) -> None:
    ForkedRanks(2).run(partial(stop_late, tmp_path), tmp_path / "exchange_dir", lambda: None, 2)
    assert [(tmp_path / f"steps-{rank}").read_text() for rank in (0, 1)] == ["7", "7"]
    saved = Checkpoints(tmp_path, "toy").load_newest()
    assert saved is not None
    assert saved["samples_seen"] == 7 * TOY_LOOP.batch_size


def take_up(own: dict[int, int], folder: Path) -> None:
    """Each process has a checkpoint of another clock, as on a network folder that lags."""
    with init_distributed(torch.device("cpu")) as ranks:
        line, place = Line(), folder / str(ranks.rank)
        run(line, place, loop=TOY_LOOP.model_copy(update={"samples": own[ranks.rank]}))
        run(line, place, ranks=ranks)
        (folder / f"weights-{ranks.rank}").write_bytes(b"".join(weights(line.model)))


def explode(folder: Path) -> None:
    """Goes on from a checkpoint into a sample that is far off; the folder of all but the first process lags."""
    with init_distributed(torch.device("cpu")) as ranks:
        try:
            run(Line(poisoned=62, poison=1e4), folder / ("seen" if ranks.is_first else "lags"), ranks=ranks)
        except FloatingPointError as error:
            (folder / f"refused-{ranks.rank}").write_text(str(error))


@pytest.mark.slow
def test_processes_agree_that_the_loss_has_exploded(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(Line(), tmp_path / "seen", stop_at=40)
    ForkedRanks(2).run(partial(explode, tmp_path), tmp_path / "exchange_dir", lambda: None, 2)
    said = [(tmp_path / f"refused-{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert said[0].startswith("the loss has exploded to more than 100 times the ")
    assert f"Last good checkpoint: {tmp_path / 'seen'}" in said[0]


@pytest.mark.slow
def test_processes_that_see_different_checkpoints_take_up_that_of_the_first(tmp_path: Path) -> None:
    ForkedRanks(2).run(partial(take_up, {0: 8, 1: 16}, tmp_path), tmp_path / "exchange_dir", lambda: None, 2)
    assert (tmp_path / "weights-0").read_bytes() == (tmp_path / "weights-1").read_bytes()


def train_line(folder: Path) -> None:
    """What each process does."""
    with init_distributed(torch.device("cpu")) as ranks:
        run(Line(), folder, ranks=ranks)


@pytest.mark.slow
def test_more_processes_than_samples_in_a_step_train_what_one_trains(tmp_path: Path) -> None:
    for count in (1, TOY_LOOP.batch_size + 2):
        folder = tmp_path / str(count)
        ForkedRanks(count).run(partial(train_line, folder), tmp_path / f"exchange_dir-{count}", lambda: None, count)
    one, six = (Checkpoints(tmp_path / str(count), "toy").load_newest() for count in (1, TOY_LOOP.batch_size + 2))
    assert one is not None
    assert six is not None
    assert_equal_trainings(six, one)


@pytest.mark.nightly
@pytest.mark.slow
def test_more_processes_than_samples_that_share_the_weights_train_what_one_trains(
    latent_folder: Path, trained_by_one: dict[str, Any], tmp_path: Path
) -> None:
    assert_equal_trainings(end_state(6, latent_folder, tmp_path / "six", sharded=True), trained_by_one)
