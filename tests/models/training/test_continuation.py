"""Trainings that begin where another one was left, with other settings."""

import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from models.training.checkpoints import Checkpoints
from models.training.continuation import load_start
from models.training.distributed import init_distributed
from models.training.history import as_csv
from models.training.interruption import Interrupted
from tests.forked_ranks import ForkedRanks
from tests.models.toy_training import LOOP, OPTIMIZER, Line, assert_equal_bits, run, weights

LONGER = LOOP.model_copy(update={"samples": 120})
SLOWER = OPTIMIZER.model_copy(update={"learning_rate": 0.01})
BEGIN = {"key": "toy", "samples_seen": 40}


def state_in(folder: Path, key: str = "continued") -> dict[str, Any]:
    state = Checkpoints(folder, key).load_newest()
    assert state is not None
    return state


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A training that was left at 40 of 80 samples."""
    with pytest.raises(Interrupted):
        run(Line(), tmp_path / "toy", stop_at=40)
    return tmp_path / "toy"


def test_continued_training_that_changes_nothing_equals_one_that_was_never_left(tmp_path: Path, origin: Path) -> None:
    line, straight = Line(), Line()
    rest = run(line, tmp_path / "continued", origin=origin)
    whole = run(straight, tmp_path / "straight")
    assert min(line.loaded) == 40
    assert as_csv(rest.history) == as_csv(whole.history)
    assert weights(line.model) == weights(straight.model)
    found, expected = state_in(tmp_path / "continued"), state_in(tmp_path / "straight", "toy")
    for kind in ("weights", "average", "optimizer"):
        assert_equal_bits(found[kind], expected[kind])
    assert (rest.origins, whole.origins) == ([BEGIN], [])


@pytest.mark.parametrize("stop_at", [44, 60, 64])
@pytest.mark.parametrize("fate", ["as it was", "gone", "gone on"])
def test_continued_training_that_is_killed_resumes_from_its_own_checkpoints(
    tmp_path: Path, origin: Path, stop_at: int, fate: str
) -> None:
    straight, resumed = Line(), Line()
    whole = run(straight, tmp_path / "straight", loop=LONGER, optimizer=SLOWER, origin=origin)
    each_step = LONGER.model_copy(update={"log_every": 1})
    with pytest.raises(Interrupted):
        run(Line(), tmp_path / "resumed", loop=each_step, optimizer=SLOWER, origin=origin, stop_at=stop_at)
    if fate == "gone":
        shutil.rmtree(origin)
    if fate == "gone on":
        run(Line(), origin)
    rest = run(resumed, tmp_path / "resumed", loop=each_step, optimizer=SLOWER, origin=origin)
    assert min(resumed.loaded) == stop_at
    assert weights(resumed.model) == weights(straight.model)
    assert_equal_bits(state_in(tmp_path / "resumed")["optimizer"], state_in(tmp_path / "straight")["optimizer"])
    assert_equal_bits(rest.average.state(), whole.average.state())
    assert rest.origins == whole.origins == [BEGIN]


def test_continued_training_killed_before_its_first_step_begins_at_the_same_place(tmp_path: Path, origin: Path) -> None:
    class Killed(Line):
        def load(self, _: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Killed(), tmp_path / "continued", origin=origin)
    run(Line(), origin)  # the other one has gone on
    line = Line()
    assert run(line, tmp_path / "continued", loop=LONGER, origin=origin).origins == [BEGIN]
    assert min(line.loaded) == 40


@pytest.mark.slow(seconds=2)
def test_training_that_exploded_goes_on_with_a_lower_rate_from_its_last_good_checkpoint(tmp_path: Path) -> None:
    rash = OPTIMIZER.model_copy(update={"learning_rate": 0.99, "warmup_samples": 400, "schedule": "constant"})
    loop = LOOP.model_copy(update={"samples": 1200})
    with pytest.raises(FloatingPointError, match="has exploded") as refused:
        run(Line(width=256), tmp_path / "toy", loop=loop, optimizer=rash)
    assert "set continue_from to toy to go on from it" in str(refused.value)
    line = Line(width=256)
    calm = rash.model_copy(update={"learning_rate": 0.005, "warmup_samples": 0})
    left_at = Checkpoints(tmp_path / "toy", "toy").load_newest()
    assert left_at is not None
    rows = run(line, tmp_path / "continued", loop=loop, optimizer=calm, origin=tmp_path / "toy").history
    assert min(line.loaded) == left_at["samples_seen"] > 0
    assert rows[-1]["train/loss"] < rows[0]["train/loss"] / 2  # how far the loss had risen differs by machine


def test_poisoned_sample_ends_a_training_which_goes_on_around_it(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError) as refused:
        run(Line(poisoned=46), tmp_path / "toy")
    advice = re.search(r"\[(\d+), (\d+)\] in loop.left_out, and set continue_from to toy", str(refused.value))
    assert advice is not None
    around = LOOP.model_copy(update={"left_out": (tuple(map(int, advice.groups())),)})
    line, left_out, skipping = Line(poisoned=46), Line(poisoned=46), Line(poisoned=46)
    with pytest.raises(FloatingPointError):
        run(line, tmp_path / "slower", optimizer=SLOWER, origin=tmp_path / "toy")
    assert run(left_out, tmp_path / "around", loop=around, origin=tmp_path / "toy").origins == [BEGIN]
    patient = LOOP.model_copy(update={"max_skipped_steps": 1})
    skipped = run(skipping, tmp_path / "skipping", loop=patient, optimizer=SLOWER, origin=tmp_path / "toy")
    assert min(left_out.loaded) == min(skipping.loaded) == 40
    assert skipped.history[-1]["train/skipped_steps"] == 1


def test_error_of_a_training_without_checkpoint_does_not_advise_to_continue_it(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError) as refused:
        run(Line(poisoned=6), tmp_path)
    assert str(refused.value).endswith("or leave these samples out with [4, 7] in loop.left_out")


def test_changed_settings_of_the_optimizer_hold_from_the_first_step_on(tmp_path: Path, origin: Path) -> None:
    """Not those that the checkpoint holds, though the state of every parameter comes from there."""
    other = OPTIMIZER.model_copy(update={"betas": (0.5, 0.6), "weight_decay": 0.3, "decayed": "matrices"})
    run(Line(), tmp_path / "continued", loop=LOOP.model_copy(update={"samples": 44}), optimizer=other, origin=origin)
    groups = state_in(tmp_path / "continued")["optimizer"]["param_groups"]
    assert sorted(group["weight_decay"] for group in groups) == [0.0, 0.3]
    assert {tuple(group["betas"]) for group in groups} == {(0.5, 0.6)}
    steps = {state["step"].item() for state in state_in(tmp_path / "continued")["optimizer"]["state"].values()}
    assert steps == {11}


def test_training_continued_twice_names_both(tmp_path: Path, origin: Path) -> None:
    with pytest.raises(Interrupted):
        run(Line(), tmp_path / "continued", origin=origin, stop_at=60)
    third = load_start(
        Checkpoints(tmp_path / "third", "third"),
        Checkpoints(tmp_path / "continued", "continued"),
        loop=LONGER,
        optimizer=OPTIMIZER,
        shapes={name: weight.shape for name, weight in state_in(tmp_path / "continued")["weights"].items()},
        is_mapped=False,
    )
    assert third is not None
    assert third["origins"] == [BEGIN, {"key": "continued", "samples_seen": 60}]


def test_checkpoint_of_before_trainings_could_be_continued_can_be(tmp_path: Path, origin: Path) -> None:
    new = {"skipped_steps", "origins", "state_bits"}
    state = {name: value for name, value in state_in(origin, "toy").items() if name not in new}
    old = Checkpoints(tmp_path / "old", "toy")
    old.folder.mkdir()
    old.save(40, state)
    line, straight = Line(), Line()
    run(line, tmp_path / "continued", origin=old.folder)
    run(straight, tmp_path / "straight")
    run(Line(), old.folder)
    assert min(line.loaded) == 40
    assert weights(line.model) == weights(straight.model)


def test_damaged_checkpoint_of_the_other_training_gives_way_to_the_one_before(tmp_path: Path, origin: Path) -> None:
    newest = max(origin.glob("samples-*.pt"))
    newest.write_bytes(newest.read_bytes()[:100])
    assert run(Line(), tmp_path / "continued", origin=origin).origins == [BEGIN | {"samples_seen": 20}]


@pytest.mark.parametrize(
    ("changes", "optimizer", "width", "sentence"),
    [
        (
            {"batch_size": 3},
            {},
            8,
            "left at 40 samples, which is no multiple of loop.batch_size 3; set loop.batch_size",
        ),
        ({"samples": 40}, {}, 8, "left at 40 samples, but loop.samples is 40: there is nothing left to train; raise"),
        ({"samples": 20}, {}, 8, "left at 40 samples, but loop.samples is 20: there is nothing left to train; raise"),
        ({}, {}, 16, r"has another network: 0.0.bias is \[8\] there and \[16\] here; give both sections the same"),
        ({}, {}, 9, r"has another network: "),
    ],
)
def test_training_that_cannot_be_continued_like_this_is_refused(
    tmp_path: Path, origin: Path, changes: dict[str, int], optimizer: dict[str, int], width: int, sentence: str
) -> None:
    loop, settings = LOOP.model_copy(update=changes), OPTIMIZER.model_copy(update=optimizer)
    with pytest.raises(ValueError, match=f"^the training toy .*{sentence}"):
        run(Line(width=width), tmp_path / "continued", loop=loop, optimizer=settings, origin=origin)
    assert not list((tmp_path / "continued").glob("*.pt"))


def test_states_of_other_bits_cannot_be_continued(tmp_path: Path, origin: Path) -> None:
    with pytest.raises(ValueError, match=r"toy has optimizer.state_bits 32, here it is 8; make them equal, or set"):
        load_start(
            Checkpoints(tmp_path / "continued", "continued"),
            Checkpoints(origin, "toy"),
            loop=LOOP,
            optimizer=OPTIMIZER.model_copy(update={"state_bits": 8}),
            shapes={},
            is_mapped=False,
        )


def test_training_without_folder_or_intact_checkpoint_is_refused_with_those_that_have_one(
    tmp_path: Path, origin: Path
) -> None:
    empty = tmp_path / "empty"
    for lack in ("does not exist", "has no intact checkpoint"):
        with pytest.raises(
            ValueError, match=f"continue_from is toy, but {empty} {lack}; write toy, which has checkpoints"
        ):
            run(Line(), tmp_path / "continued", origin=empty)
        empty.mkdir(exist_ok=True)
    shutil.rmtree(origin)
    with pytest.raises(ValueError, match=f"but {empty} has no intact checkpoint; write null to begin at zero"):
        run(Line(), tmp_path / "continued", origin=empty)


def together(folder: Path, origin: Path, **changes: Any) -> None:
    """What each of several processes does."""
    torch.set_num_threads(1)
    optimizer = SLOWER.model_copy(update={"decayed": "matrices"})
    with init_distributed(torch.device("cpu")) as ranks:
        line = Line()
        try:
            run(line, folder, loop=LONGER.model_copy(update=changes), optimizer=optimizer, ranks=ranks, origin=origin)
        except ValueError as error:
            (folder.parent / f"refused-{ranks.rank}").write_text(str(error))
        (folder.parent / f"weights-{ranks.rank}").write_bytes(b"".join(weights(line.model)))


@pytest.mark.slow
def test_two_processes_continue_what_one_has_begun(tmp_path: Path, origin: Path) -> None:
    folder = tmp_path / "together"
    ForkedRanks(2).run(partial(together, folder, origin), tmp_path / "exchange_dir", lambda: None, 2)
    assert (tmp_path / "weights-0").read_bytes() == (tmp_path / "weights-1").read_bytes()
    alone = Line()
    optimizer = SLOWER.model_copy(update={"decayed": "matrices"})
    run(alone, tmp_path / "alone", loop=LONGER, optimizer=optimizer, origin=origin)
    found, expected = state_in(folder), state_in(tmp_path / "alone")
    assert found["origins"] == expected["origins"] == [BEGIN]
    for name, value in expected["weights"].items():
        torch.testing.assert_close(found["weights"][name], value, rtol=1e-3, atol=1e-5)
    for ours, theirs in zip(*(state["optimizer"]["param_groups"] for state in (found, expected)), strict=True):
        assert (ours["weight_decay"], ours["params"]) == (theirs["weight_decay"], theirs["params"])


@pytest.mark.slow
def test_all_processes_hear_why_a_training_cannot_be_continued(tmp_path: Path, origin: Path) -> None:
    work = partial(together, tmp_path / "together", origin, samples=40)
    ForkedRanks(2).run(work, tmp_path / "exchange_dir", lambda: None, 2)
    said = [(tmp_path / f"refused-{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert "there is nothing left to train" in said[0]
