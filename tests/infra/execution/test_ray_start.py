"""A private Ray that does not start: one sentence, one more try where it ran out of time, and nothing is left of it."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import ray

from infra.execution import process_folder
from infra.execution.processes import is_alive, marked, signals_raise
from infra.execution.ray_connection import MARK, RayConnection
from tests.infra.ray_cluster import ray_cluster

pytestmark = pytest.mark.slow(seconds=10)


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the sessions of these tests lie; a short path, since a socket's is."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setattr(process_folder, "PLACE", Path(folder))
        yield Path(folder)


def processes_of(place: Path) -> list[psutil.Process]:
    """The processes that were started for a session in this folder, orphans included."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK, "").startswith(f"{place}/") and is_alive(process):
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


@contextmanager
def first_raylet_gets(number: int, place: Path, then: int | None = None) -> Iterator[None]:
    """Send the first raylet a signal as it begins, and another one to this process a second later."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            for process in processes_of(place):
                with suppress(psutil.Error):
                    if process.name() == "raylet":
                        process.send_signal(number)
                        if then is not None:
                            time.sleep(1)
                            os.kill(os.getpid(), then)
                        return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_start_that_runs_out_of_time_is_tried_again_then_said_in_one_sentence_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: Path
) -> None:
    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "0")
    connection = RayConnection(None, 1)
    with pytest.raises(
        RuntimeError, match=r"did not start on this machine: Timed out waiting .*; wait until"
    ) as raised:
        connection.open()
    assert "\n" not in str(raised.value)
    assert [record.getMessage().rpartition("; ")[2] for record in caplog.records] == ["it is tried once more"]
    assert (processes_of(place), list(place.iterdir())) == ([], [])
    connection.close()


def test_start_that_is_wrong_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: Path
) -> None:
    monkeypatch.setattr("infra.execution.ray_connection.OBJECT_STORE_BYTES", 1)
    with pytest.raises(RuntimeError, match="did not start on this machine: Attempting to cap object store memory"):
        RayConnection(None, 1).open()
    assert not caplog.records
    assert (processes_of(place), list(place.iterdir())) == ([], [])


@pytest.mark.nightly  # Ray hears of a signal only once its present wait is over
def test_start_that_is_broken_off_leaves_nothing(place: Path) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with signals_raise(), first_raylet_gets(signal.SIGSTOP, place, signal.SIGTERM), pytest.raises(SystemExit):
        RayConnection(None, 1).open()
    assert (processes_of(place), list(place.iterdir())) == ([], [])
    assert signal.getsignal(signal.SIGTERM) == handler


@pytest.mark.nightly  # Ray waits for half a minute
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["stands_still", "has_ended"])
def test_raylet_that_does_not_come_up_is_started_again(place: Path, number: int) -> None:
    connection = RayConnection(None, 1)
    try:
        with first_raylet_gets(number, place):
            connection.open()
        assert ray.cluster_resources()["CPU"] == 1
        [session] = place.iterdir()
        assert {process.environ()[MARK] for process in processes_of(place)} == {str(session)}, (
            "of the second start alone"
        )
    finally:
        connection.close()
    assert list(place.iterdir()) == []


def test_cluster_of_tests_that_does_not_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "0")
    before = {process.pid for process in ours()}
    with pytest.raises(Exception, match="Timed out waiting for file"), ray_cluster(head_cpus=0):
        pass
    assert [process for process in ours() if process.pid not in before] == []


def ours() -> list[psutil.Process]:
    return marked("MVDPP_TESTS", os.environ["MVDPP_TESTS"])
