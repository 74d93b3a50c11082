"""Several processes train what one trains: the loop itself, joined by `models.workers`."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.trainers import LocalTrainers
from models.checkpoints import Checkpoints
from models.history import as_csv
from models.interruption import Interrupted
from models.latents import LatentSet
from models.loop import train
from models.workers import ALONE, Workers, joined
from tests.models.test_train_diffusion import LOOP, OPTIMIZER, make_training
from tests.models.toy_latents import write_toy_latents
from tests.models.toy_training import LOOP as TOY_LOOP
from tests.models.toy_training import Line, run

LONGER = LOOP.model_copy(update={"batch_size": 5, "samples": 50, "checkpoint_every": 2})


def work(latents: Path, folder: Path, fault: Callable[[], None] | None) -> None:
    """What each process does: a toy stage whose samples have one or several condition views."""
    torch.set_num_threads(1)

    def report(samples_seen: int, metrics: Any) -> None:  # noqa: ARG001
        if fault is not None and samples_seen > 20 and not (folder / "struck").exists():
            (folder / "struck").touch()
            fault()

    with joined(torch.device("cpu")) as workers:
        train(
            make_training(LatentSet.open(latents)),
            LONGER,
            OPTIMIZER,
            checkpoints=Checkpoints(folder, "toy"),
            report=report,
            stop=lambda: False,
            workers=workers,
        )


class SlowCheckpoints(Checkpoints):
    def save(self, *arguments: Any, **keywords: Any) -> Path:
        time.sleep(2)
        return super().save(*arguments, **keywords)


def stop_at_once(latents: Path, folder: Path) -> None:
    """Asked to stop after the first step; notes whether the state was saved when it left."""
    torch.set_num_threads(1)
    with joined(torch.device("cpu")) as workers:
        try:
            train(
                make_training(LatentSet.open(latents)),
                LONGER,
                OPTIMIZER,
                checkpoints=SlowCheckpoints(folder, "toy"),
                report=lambda *_: None,
                stop=lambda: workers.rank == 1,
                workers=workers,
            )
        except Interrupted:
            saved = [path.name for path in folder.glob("samples-*.pt")]
            (folder / f"left-{workers.rank}").write_text(" ".join(saved))


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_state(count: int, latents: Path, folder: Path, fault: Callable[[], None] | None = None) -> dict[str, Any]:
    """The last checkpoint that so many processes leave."""
    folder.mkdir()
    LocalTrainers(count).run(partial(work, latents, folder, fault), folder / "desk", lambda: None, count)
    state = Checkpoints(folder, "toy").load_newest(torch.device("cpu"))
    assert state is not None
    assert state["samples_seen"] == 50
    return state


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_latents(tmp_path_factory.mktemp("set") / "latents").folder


@pytest.fixture(scope="module")
def of_two(latents: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return end_state(2, latents, tmp_path_factory.mktemp("two") / "run")


@pytest.mark.slow
def test_two_processes_train_what_one_trains(latents: Path, of_two: dict[str, Any], tmp_path: Path) -> None:
    of_one = end_state(1, latents, tmp_path / "one")
    for name in ("train/loss", "val/loss"):
        one, two = ([row[name] for row in state["history"]["rows"] if name in row] for state in (of_one, of_two))
        assert two == pytest.approx(one, rel=1e-4), name
    for (name, expected), found in zip(of_one["modules"][0].items(), of_two["modules"][0].values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=2e-4, msg=name)


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_end_as_if_nothing_had_happened(
    latents: Path, of_two: dict[str, Any], tmp_path: Path
) -> None:
    resumed = end_state(2, latents, tmp_path / "killed", kill_myself)
    assert (tmp_path / "killed" / "struck").exists()
    assert as_csv(resumed["history"]["rows"]) == as_csv(of_two["history"]["rows"])
    for key in ("modules", "average", "optimizer"):
        assert_equal_bits(resumed[key], of_two[key])


@pytest.mark.slow
def test_processes_that_are_stopped_leave_once_the_state_is_saved(latents: Path, tmp_path: Path) -> None:
    LocalTrainers(2).run(partial(stop_at_once, latents, tmp_path), tmp_path / "desk", lambda: None, 2)
    for rank in (0, 1):
        assert (tmp_path / f"left-{rank}").read_text().startswith("samples-000000000005-")


def take_up(own: dict[int, int], folder: Path) -> None:
    """Each process finds a checkpoint at another clock."""
    with joined(torch.device("cpu")) as workers:
        line, place = Line(), folder / str(workers.rank)
        run(line, place, loop=TOY_LOOP.model_copy(update={"samples": own[workers.rank]}))
        try:
            run(line, place, workers=workers)
        except RuntimeError as error:
            (folder / f"refused-{workers.rank}").write_text(str(error))


@pytest.mark.slow
def test_processes_that_take_up_different_checkpoints_are_refused(tmp_path: Path) -> None:
    LocalTrainers(2).run(partial(take_up, {0: 8, 1: 16}, tmp_path), tmp_path / "desk", lambda: None, 2)
    for rank in (0, 1):
        assert "found checkpoints at [8, 16] samples" in (tmp_path / f"refused-{rank}").read_text()


def assert_equal_bits(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_equal_bits(found[key], value)
    elif isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            assert_equal_bits(one, other)
    else:
        assert found == expected


def test_shares_of_a_step_are_disjoint_and_complete() -> None:
    shares = [Workers(rank, 3).share(range(20, 31)) for rank in range(3)]
    assert sorted(number for share in shares for number in share) == list(range(20, 31))
    assert max(map(len, shares)) - min(map(len, shares)) == 1
    assert ALONE.share(range(4)) == range(4)


def test_more_processes_than_samples_in_a_step_are_refused(latents: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="6 workers for a batch of 5: each needs a sample; lower `trainers`"):
        train(
            make_training(LatentSet.open(latents)),
            LONGER,
            OPTIMIZER,
            checkpoints=Checkpoints(tmp_path, "toy"),
            report=lambda *_: None,
            stop=lambda: False,
            workers=Workers(0, 6),
        )
