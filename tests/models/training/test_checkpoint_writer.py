"""Checkpoints are written beside the training, and nothing that can happen to a file is lost on the way."""

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.training.checkpoint_writer import CheckpointWriter
from models.training.checkpoints import Checkpoints


class HeldCheckpoints(Checkpoints):
    """A disk that writes when it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "toy")
        object.__setattr__(self, "go_on", threading.Event())

    def save(self, *arguments: Any, **keywords: Any) -> Path:
        self.go_on.wait(60)  # type: ignore[attr-defined]
        return super().save(*arguments, **keywords)


def state_of(value: float) -> dict[str, Any]:
    return {"weights": {"a": torch.full((3, 4), value)}, "history": {"rows": [{"train/loss": value}]}}


def newest(folder: Path) -> dict[str, Any]:
    state = Checkpoints(folder, "toy").load_newest()
    assert state is not None
    return state


def test_the_training_goes_on_while_its_state_of_before_is_written(tmp_path: Path) -> None:
    disk, state = HeldCheckpoints(tmp_path), state_of(1.0)
    with CheckpointWriter(disk) as writer:
        writer.save(4, state, is_best=False)
        state["weights"]["a"].fill_(2.0)
        state["history"]["rows"].append({"train/loss": 2.0})
        writer.raise_error()
        assert disk.newest_path() is None, "it must not have waited"
        disk.go_on.set()  # type: ignore[attr-defined]
    found = newest(tmp_path)
    assert found["samples_seen"] == 4
    assert found["history"] == {"rows": [{"train/loss": 1.0}]}
    torch.testing.assert_close(found["weights"]["a"], torch.ones(3, 4), rtol=0, atol=0)


def test_the_next_checkpoint_waits_for_the_one_before(tmp_path: Path) -> None:
    with CheckpointWriter(Checkpoints(tmp_path, "toy")) as writer:
        for clock in (4, 8, 12):
            writer.save(clock, state_of(float(clock)), is_best=clock == 8)
    assert newest(tmp_path)["samples_seen"] == 12
    assert sorted(path.name[:20] for path in tmp_path.glob("*.pt")) == [
        "best.pt",
        "samples-000000000008",
        "samples-000000000012",
    ]


def poll(writer: CheckpointWriter) -> None:
    """What the loop does at every step."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        writer.raise_error()
        time.sleep(0.01)


THEN: dict[str, Callable[[CheckpointWriter], None]] = {
    "the next step": poll,
    "the end": CheckpointWriter.wait,
    "the next checkpoint": lambda writer: writer.save(8, state_of(2.0), is_best=False),
    "leaving": lambda _: None,
}


def save_and(folder: Path, then: Callable[[CheckpointWriter], None]) -> None:
    with CheckpointWriter(Checkpoints(folder, "toy")) as writer:
        writer.save(4, state_of(1.0), is_best=False)
        then(writer)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("then", THEN)
def test_a_disk_that_is_full_meanwhile_ends_the_training(tmp_path: Path, then: str) -> None:
    with pytest.raises(OSError, match="does not fit into") as full:
        save_and(tmp_path, THEN[then])
    assert full.value.errno == errno.ENOSPC
    assert not list(tmp_path.glob("*samples*"))


def diverge(_: CheckpointWriter) -> None:
    raise FloatingPointError("the loss is not finite")


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_does_not_hide_why_the_training_ended(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        save_and(tmp_path, diverge)


def test_the_digest_in_the_name_is_that_of_the_file(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path, "toy").save(4, state_of(1.0))
    assert newest(tmp_path)["samples_seen"] == 4
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert Checkpoints(tmp_path, "toy").load_newest() is None
