"""Steps that are not finite, of which a training may skip some."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.training.checkpoints import Checkpoints
from models.training.distributed import init_distributed
from models.training.history import as_csv
from models.training.interruption import Interrupted
from tests.forked_ranks import ForkedRanks
from tests.models.toy_training import LOOP, Line, assert_equal_bits, run, weights

PATIENT = LOOP.model_copy(update={"max_skipped_steps": 2})
POISONED = 26
"""In step 7, between the checkpoints after steps 5 and 10."""


def state_in(folder: Path) -> dict[str, Any]:
    state = Checkpoints(folder, "toy").load_newest()
    assert state is not None
    return state


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_step_that_is_not_finite_is_counted_and_changes_nothing_but_the_clock(tmp_path: Path, poison: float) -> None:
    poisoned, before = Line(poisoned=POISONED, poison=poison), Line()
    until_step_7 = PATIENT.model_copy(update={"samples": 28, "checkpoint_every": 1, "log_every": 1})
    history = run(poisoned, tmp_path / "poisoned", loop=until_step_7).history
    with pytest.raises(Interrupted):
        run(before, tmp_path / "before", loop=until_step_7, stop_at=24)
    assert weights(poisoned.model) == weights(before.model)
    after_step_7, after_step_6 = state_in(tmp_path / "poisoned"), state_in(tmp_path / "before")
    for kind in ("weights", "average"):
        assert_equal_bits(after_step_7[kind], after_step_6[kind])
    moments = [state["optimizer"]["state"] for state in (after_step_7, after_step_6)]
    assert_equal_bits(*moments)
    assert (after_step_7["samples_seen"], after_step_7["skipped_steps"]) == (28, 1)
    assert (after_step_6["samples_seen"], after_step_6["skipped_steps"]) == (24, 0)
    assert [row["train/skipped_steps"] for row in history] == [0, 0, 0, 0, 0, 0, 1]
    assert "train/loss" not in history[-1]


def test_training_goes_on_after_a_skipped_step_and_still_learns(tmp_path: Path) -> None:
    rows = run(Line(poisoned=POISONED), tmp_path, loop=PATIENT.model_copy(update={"samples": 400})).history
    assert rows[-1]["train/loss"] < rows[0]["train/loss"] / 5
    assert all(math.isfinite(value) for row in rows for value in row.values())


class PoisonedFrom(Line):
    """Every sample from `poisoned` on is not a number."""

    def load(self, sample_ids: range) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        x, y = super().load(sample_ids)
        assert self.poisoned is not None
        y[torch.tensor([self.poisoned <= number < 10_000 for number in sample_ids])] = torch.nan
        return x, y


# 28 and 32 samples: after the first and after the second skipped step
@pytest.mark.parametrize("stop_at", [28, 32])
def test_resumed_training_gets_no_new_allowance(tmp_path: Path, stop_at: int) -> None:
    each_step = PATIENT.model_copy(update={"log_every": 1})
    with pytest.raises(Interrupted):
        run(PoisonedFrom(poisoned=24), tmp_path, loop=each_step, stop_at=stop_at)
    resumed = PoisonedFrom(poisoned=24)
    with pytest.raises(
        FloatingPointError, match=r"is not finite at step 9 \(samples 32\.\.35\), after 2 skipped steps: "
    ):
        run(resumed, tmp_path, loop=each_step)
    assert resumed.loaded[0] == stop_at


@pytest.mark.parametrize(("poisoned", "stop_at"), [(POISONED, 28), (POISONED, 32), (2, 4)])
def test_training_killed_after_a_skipped_step_equals_an_undisturbed_one(
    tmp_path: Path, poisoned: int, stop_at: int
) -> None:
    loop = PATIENT.model_copy(update={"log_every": 1})
    straight, resumed = Line(poisoned=poisoned), Line(poisoned=poisoned)
    whole = run(straight, tmp_path / "straight", loop=loop)
    with pytest.raises(Interrupted):
        run(Line(poisoned=poisoned), tmp_path / "resumed", loop=loop, stop_at=stop_at)
    rest = run(resumed, tmp_path / "resumed", loop=loop)
    assert weights(resumed.model) == weights(straight.model)
    assert as_csv(rest.history) == as_csv(whole.history)
    assert rest.history[-1]["train/skipped_steps"] == 1


def test_explosion_ends_the_training_whatever_may_be_skipped(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="has exploded"):
        run(Line(poisoned=POISONED, poison=1e4), tmp_path, loop=PATIENT)


class Normalized(Line):
    """A line whose network keeps statistics of what it sees, and whose inputs, not targets, are poisoned."""

    def __init__(self, poisoned: int | None = None) -> None:
        super().__init__()
        self.poisoned_input = poisoned
        self.model = nn.Sequential(nn.BatchNorm1d(1), *self.model)

    def load(self, sample_ids: range) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        x, y = super().load(sample_ids)
        x[torch.tensor([number == self.poisoned_input for number in sample_ids])] = torch.nan
        return x, y


def test_skipped_step_leaves_no_trace_in_the_statistics_of_a_batch_norm(tmp_path: Path) -> None:
    poisoned, before = Normalized(POISONED), Normalized()
    run(poisoned, tmp_path / "poisoned", loop=PATIENT.model_copy(update={"samples": 28}))
    run(before, tmp_path / "before", loop=PATIENT.model_copy(update={"samples": 24}))
    assert_equal_bits(dict(poisoned.model.named_buffers()), dict(before.model.named_buffers()))


def test_no_allowance_leaves_no_trace_in_what_names_a_training() -> None:
    assert "max_skipped_steps" not in LOOP.model_dump()
    assert PATIENT.model_dump()["max_skipped_steps"] == 2


def together(folder: Path, samples: int, left_out: tuple[tuple[int, int], ...]) -> None:
    """What each of several processes does, of which one meets the poisoned sample."""
    torch.set_num_threads(1)
    loop = PATIENT.model_copy(update={"samples": samples, "left_out": left_out})
    with init_distributed(torch.device("cpu")) as ranks:
        line = PoisonedFrom(poisoned=64) if samples > 80 else Line(poisoned=POISONED)
        try:
            run(line, folder, loop=loop, ranks=ranks)
        except FloatingPointError as error:
            (folder.parent / f"refused-{ranks.rank}").write_text(str(error))
        (folder.parent / f"weights-{ranks.rank}").write_bytes(b"".join(weights(line.model)))


@pytest.mark.slow
@pytest.mark.parametrize(("left_out", "count"), [((), 1), (((26, 27),), 0)])
def test_processes_skip_the_same_step_and_leave_out_the_same_samples(
    tmp_path: Path, left_out: tuple[tuple[int, int], ...], count: int
) -> None:
    work = partial(together, tmp_path / "run", 80, left_out)
    ForkedRanks(2).run(work, tmp_path / "exchange_dir", lambda: None, 2)
    assert (tmp_path / "weights-0").read_bytes() == (tmp_path / "weights-1").read_bytes()
    alone = Line(poisoned=POISONED)
    run(alone, tmp_path / "alone", loop=PATIENT.model_copy(update={"left_out": left_out}))
    found = state_in(tmp_path / "run")
    assert found["skipped_steps"] == state_in(tmp_path / "alone")["skipped_steps"] == count
    for name, weight in zip(found["weights"], alone.model.parameters(), strict=True):
        torch.testing.assert_close(found["weights"][name], weight.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_processes_end_at_the_same_step_when_no_more_may_be_skipped(tmp_path: Path) -> None:
    work = partial(together, tmp_path / "run", 120, ())
    ForkedRanks(2).run(work, tmp_path / "exchange_dir", lambda: None, 2)
    said = [(tmp_path / f"refused-{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert "at step 19 (samples 72..75), after 2 skipped steps" in said[0]
