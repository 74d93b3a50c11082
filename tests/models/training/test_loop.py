import errno
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.config import LoopConfig
from models.data.draws import Stream, rng_of
from models.training.checkpoints import Checkpoints
from models.training.history import as_csv
from models.training.interruption import Interrupted, stop_on_signal
from models.training.learning_rate import learning_rate_at
from models.training.loop import train
from models.training.trainable import MicroBatchLoss
from tests.models.toy_training import LOOP, OPTIMIZER, Line, run, weights
from tests.small_disk import small_disk


def optimizer_of(folder: Path) -> list[bytes]:
    newest = Checkpoints(folder, "toy").load_newest()
    assert newest is not None
    state = newest["optimizer"]["state"]
    return [value.numpy().tobytes() for index in sorted(state) for _, value in sorted(state[index].items())]


def test_train_points_on_a_line_loss_falls(tmp_path: Path) -> None:
    rows = run(Line(), tmp_path, loop=LOOP.model_copy(update={"samples": 400})).history
    assert rows[-1]["train/loss"] < rows[0]["train/loss"] / 5


# 28 samples is step 7: between two reports (3, 6, 9) and two checkpoints (5, 10).
@pytest.mark.parametrize("stop_at", [12, 28, 40])
def test_train_interrupted_and_resumed_equals_undisturbed_run_bit_for_bit(tmp_path: Path, stop_at: int) -> None:
    straight = Line()
    whole = run(straight, tmp_path / "straight")

    with pytest.raises(Interrupted, match="same command"):
        train(
            Line(),
            LOOP,
            OPTIMIZER,
            checkpoints=Checkpoints(tmp_path / "resumed", "toy"),
            report=lambda samples_seen, metrics: None,  # noqa: ARG005
            stop=StopAfter(stop_at // LOOP.batch_size),
        )
    resumed = Line()
    rest = run(resumed, tmp_path / "resumed")

    assert min(resumed.loaded) == stop_at  # it did not start over
    assert weights(resumed.model) == weights(straight.model)
    for found, expected in zip(rest.average.state().values(), whole.average.state().values(), strict=True):
        assert torch.equal(found, expected)
    assert optimizer_of(tmp_path / "resumed") == optimizer_of(tmp_path / "straight")
    assert as_csv(rest.history) == as_csv(whole.history)


@dataclass
class StopAfter:
    """Says stop from its nth question on; the loop asks once per step."""

    num_steps: int
    asked: int = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked >= self.num_steps


class Killed(Line):
    """Gets SIGTERM while step `at` computes."""

    at = 4

    def micro_batches(self, batch: tuple[Tensor, Tensor]) -> Iterator[MicroBatchLoss]:
        self.at -= 1
        if self.at == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        yield from super().micro_batches(batch)


def test_train_on_sigterm_finishes_the_step_saves_and_resumes(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    checkpoints = Checkpoints(tmp_path / "killed", "toy")
    with stop_on_signal() as stop, pytest.raises(Interrupted) as ended:
        train(Killed(), LOOP, OPTIMIZER, checkpoints=checkpoints, report=lambda *_: None, stop=stop)
    assert "16 of 80 samples" in str(ended.value)
    assert isinstance(ended.value, SystemExit)
    assert signal.getsignal(signal.SIGTERM) == before

    straight, resumed = Line(), Line()
    run(straight, tmp_path / "straight")
    run(resumed, tmp_path / "killed")
    assert min(resumed.loaded) == 16
    assert weights(resumed.model) == weights(straight.model)


def test_train_already_complete_returns_without_another_step(tmp_path: Path) -> None:
    first = Line()
    run(first, tmp_path)
    second = Line()
    again = run(second, tmp_path)
    assert second.loaded == []
    assert weights(second.model) == weights(first.model)
    assert again.history[-1]["samples_seen"] == LOOP.samples


def test_train_newest_checkpoint_corrupt_goes_on_from_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    straight = Line()
    run(straight, tmp_path)
    newest = max(tmp_path.glob("samples-*.pt"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(content)

    resumed = Line()
    run(resumed, tmp_path)
    assert min(resumed.loaded) == 60
    assert weights(resumed.model) == weights(straight.model)
    assert newest.name in caplog.text


def test_train_newest_checkpoint_truncated_goes_on_from_the_one_before(tmp_path: Path) -> None:
    run(Line(), tmp_path)
    newest = max(tmp_path.glob("samples-*.pt"))
    newest.write_bytes(newest.read_bytes()[:100])
    resumed = Line()
    run(resumed, tmp_path)
    assert min(resumed.loaded) == 60


def test_train_into_a_folder_that_another_training_uses_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.training.checkpoints.LOCK_TIMEOUT", 0.3)
    with (
        Checkpoints(tmp_path, "toy").exclusive(),
        pytest.raises(BlockingIOError, match=rf"another process trains into {tmp_path}; wait until it has ended"),
    ):
        run(Line(), tmp_path)
    run(Line(), tmp_path)


def test_train_resumed_keeps_no_removed_checkpoint_open(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(Line(), tmp_path, stop_at=20)
    resumed = Line()
    trained = run(resumed, tmp_path)
    assert trained.samples_seen == 80
    maps = Path("/proc/self/maps").read_text()
    assert not [line for line in maps.splitlines() if str(tmp_path) in line]


def test_train_keeps_two_checkpoints_the_best_and_no_partial_file(tmp_path: Path) -> None:
    rows = run(Line(), tmp_path).history
    kept = ["best.pt", "samples-000000000060", "samples-000000000080"]
    assert sorted(path.name[:20] for path in tmp_path.glob("[!.]*")) == kept
    assert not list(tmp_path.glob("*.part"))
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    losses = {row["samples_seen"]: row["val/loss"] for row in rows if "val/loss" in row}
    assert losses[best["samples_seen"]] == min(losses.values())


def test_train_on_a_full_disk_ends_with_the_numbers_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "disk"
    with small_disk(folder) as resize:
        resize(4)
        with pytest.raises(OSError, match=r"into .*disk") as full:
            run(Line(), folder)
        assert full.value.errno == errno.ENOSPC
        assert [path.name for path in folder.iterdir()] == [".lock"], "nothing half-written"
        resize(1024)
        straight = Line()
        run(straight, folder)
        big = {"weights": torch.zeros(2**19)}
        with pytest.raises(OSError, match=r"a checkpoint of 2 MiB does not fit into .*, which has \d MiB left"):
            Checkpoints(folder, "toy").save(100, big)
        resumed = Line()
        run(resumed, folder)
        assert resumed.loaded == [], "what was saved before is whole"
        assert weights(resumed.model) == weights(straight.model)


def test_train_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    run(Line(), tmp_path)
    with pytest.raises(ValueError, match="written for configuration toy"):
        train(
            Line(),
            LOOP,
            OPTIMIZER,
            checkpoints=Checkpoints(tmp_path, "other"),
            report=lambda *_: None,
            stop=lambda: False,
        )


def test_train_checkpoint_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.training.checkpoints.FORMAT", 1)
    run(Line(), tmp_path, loop=LOOP.model_copy(update={"samples": 8}))
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"has format 1, this program writes 2; finish .* or remove .* to start anew"):
        run(Line(), tmp_path)


@pytest.mark.parametrize(
    ("poison", "fault"),
    [(torch.nan, "the loss is not finite"), (1e4, "the loss has exploded to more than 100 times the ")],
)
def test_train_loss_that_is_broken_stops_before_the_weights_change(tmp_path: Path, poison: float, fault: str) -> None:
    poisoned, straight = Line(poisoned=26, poison=poison), Line()
    with pytest.raises(FloatingPointError) as refused:
        run(poisoned, tmp_path / "poisoned")
    with pytest.raises(Interrupted):
        run(straight, tmp_path / "straight", stop_at=24)
    assert weights(poisoned.model) == weights(straight.model), "six steps were taken"
    message = str(refused.value)
    assert message.startswith(fault)
    assert "step 7 (samples 24..27)" in message
    assert "point-26" in message
    assert "samples-000000000020-" in message


def test_train_loss_in_parts_equals_loss_in_one(tmp_path: Path) -> None:
    one, four = Line(), Line(num_parts=4)
    whole, parts = run(one, tmp_path / "one"), run(four, tmp_path / "four")
    for a, b in zip(one.model.parameters(), four.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    assert [row["train/loss"] for row in whole.history if "train/loss" in row] == pytest.approx(
        [row["train/loss"] for row in parts.history if "train/loss" in row], rel=1e-5
    )


def test_train_validation_sees_averaged_weights_and_leaves_the_newest(tmp_path: Path) -> None:
    trainable = Line()
    trained = run(trainable, tmp_path)
    newest = weights(trainable.model)
    with trained.average.applied():
        averaged = weights(trainable.model)
        assert trainable.validate()["val/loss"] == trained.history[-1]["val/loss"]
    assert weights(trainable.model) == newest != averaged


def test_train_history_reports_at_its_intervals_and_at_the_end(tmp_path: Path) -> None:
    rows = run(Line(), tmp_path).history
    assert [row["samples_seen"] for row in rows if "train/loss" in row] == [12, 24, 36, 48, 60, 72, 80]
    assert [row["samples_seen"] for row in rows if "val/loss" in row] == [20, 40, 60, 80]
    header = as_csv(rows).splitlines()[0]
    assert header == "samples_seen,loss,grad_norm,lr,val_loss"


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    loop = LoopConfig(batch_size=4, samples=400, ema_decay=0, log_every=1, validate_every=1, checkpoint_every=1)
    rates = [learning_rate_at(samples_seen, loop, OPTIMIZER) for samples_seen in range(0, 401, 4)]
    assert rates[0] == pytest.approx(OPTIMIZER.learning_rate / 2)
    assert max(rates) == pytest.approx(OPTIMIZER.learning_rate, rel=1e-3)
    assert rates[-1] == pytest.approx(0)
    assert all(a >= b for a, b in pairwise(rates[2:]))


def test_rng_of_same_key_gives_same_numbers_other_key_others() -> None:
    noise, sample = Stream.NOISE, Stream.SAMPLE
    assert rng_of(1, noise, 3).random() == rng_of(1, noise, 3).random()
    others = [(2, noise, 3), (1, sample, 3), (1, noise, 4)]
    assert len({rng_of(*key).random() for key in [(1, noise, 3), *others]}) == 4


def test_train_in_bf16_learns_and_keeps_float32_weights(tmp_path: Path) -> None:
    trainable = Line()
    rows = run(trainable, tmp_path / "bf16", loop=LOOP.model_copy(update={"samples": 400, "precision": "bf16"})).history
    exact = run(Line(), tmp_path / "fp32", loop=LOOP.model_copy(update={"samples": 400})).history
    assert rows[-1]["train/loss"] < rows[0]["train/loss"] / 5
    assert rows[0]["train/loss"] != exact[0]["train/loss"]
    assert all(parameter.dtype == torch.float32 for parameter in trainable.model.parameters())
