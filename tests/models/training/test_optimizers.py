"""Moments of 8 bits train like those of 32 and take a quarter of the room."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from models.training.checkpoints import Checkpoints, size_of
from models.training.distributed import Ranks
from models.training.history import as_csv
from models.training.interruption import Interrupted
from models.training.loop import TrainingResult
from tests.models.toy_training import LOOP, OPTIMIZER, Line, run, weights

HAS_TORCHAO = find_spec("torchao") is not None
needs_torchao = pytest.mark.skipif(not HAS_TORCHAO, reason="pip install torchao==0.18.0")
WIDTH = 128
EIGHT = OPTIMIZER.model_copy(update={"state_bits": 8, "learning_rate": 5e-3})
FULL = EIGHT.model_copy(update={"state_bits": 32})
LONGER = LOOP.model_copy(update={"samples": 400})


def loss_of(trained: TrainingResult) -> float:
    return trained.history[-1]["train/loss"]


def moment_bytes(folder: Path) -> int:
    """Of the two moments of the widest layer in a checkpoint, scales and all."""
    state = Checkpoints(folder, "toy").load_newest()
    assert state is not None
    return size_of([state["optimizer"]["state"]["0.2.weight"][name] for name in ("exp_avg", "exp_avg_sq")])


@pytest.mark.slow
@needs_torchao
def test_eight_bit_moments_learn_as_well_in_a_quarter_of_the_room(tmp_path: Path) -> None:
    full = run(Line(width=WIDTH), tmp_path / "full", loop=LONGER, optimizer=FULL)
    small = run(Line(width=WIDTH), tmp_path / "small", loop=LONGER, optimizer=EIGHT)
    assert loss_of(full) < full.history[0]["train/loss"] / 50
    assert loss_of(small) < 2 * loss_of(full)
    assert moment_bytes(tmp_path / "full") == 2 * WIDTH * WIDTH * 4
    assert moment_bytes(tmp_path / "small") < 0.3 * moment_bytes(tmp_path / "full")


@pytest.mark.slow
@needs_torchao
def test_eight_bit_training_resumed_equals_an_undisturbed_one(tmp_path: Path) -> None:
    straight, resumed = Line(width=WIDTH), Line(width=WIDTH)
    whole = run(straight, tmp_path / "straight", optimizer=EIGHT)
    with pytest.raises(Interrupted):
        run(Line(width=WIDTH), tmp_path / "resumed", optimizer=EIGHT, stop_at=24)
    rest = run(resumed, tmp_path / "resumed", optimizer=EIGHT)
    assert weights(resumed.model) == weights(straight.model)
    assert as_csv(rest.history) == as_csv(whole.history)


def test_eight_bit_moments_of_several_processes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"state_bits is 8, which works with one process alone; set `trainers` to 1"):
        run(Line(), tmp_path, optimizer=EIGHT, ranks=Ranks(0, 2))


@pytest.mark.skipif(HAS_TORCHAO, reason="torchao is installed")
def test_eight_bit_moments_without_torchao_say_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"state_bits is 8, which needs torchao: pip install torchao==0\.18\.0"):
        run(Line(), tmp_path, optimizer=EIGHT)
