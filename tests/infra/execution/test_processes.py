import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from infra.execution.processes import ProcessGroup, environment, signals_raise

CHILD = (
    "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {child!r}]); "
    "print(p.pid, flush=True); {then}"
)
SLEEP = "import time; time.sleep(3600)"
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True)); "
    "print('deaf', flush=True); time.sleep(3600)"
)
FOREVER = 1e6
"""A grace in seconds that no test waits out: `stop` returns because all have ended, or because of a signal."""


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_command_prints_and_ends(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import os; print(os.getcwd()); print(os.environ['COLOUR']); raise SystemExit(3)"]
    with ProcessGroup(words, root=tmp_path, env={"COLOUR": "red"}, output=subprocess.PIPE) as group:
        assert list(group.lines()) == [str(tmp_path), "red"]
        assert group.wait() == 3


@pytest.mark.parametrize("then", ["time.sleep(3600)", "pass"], ids=["with its parent", "whose parent has ended"])
def test_stop_ends_the_children_as_well(tmp_path: Path, then: str) -> None:
    words = [sys.executable, "-c", CHILD.format(child=SLEEP, then=then)]
    with ProcessGroup(words, root=tmp_path, output=subprocess.PIPE) as group:
        child = int(next(group.lines()))
        assert is_running(child)
        group.stop(grace=FOREVER)
    assert not is_running(child)
    assert group.exit_code() is not None


def test_stop_ends_a_child_with_a_group_of_its_own(tmp_path: Path) -> None:
    code = CHILD.format(child=SLEEP, then="time.sleep(3600)").replace("])", "], start_new_session=True)", 1)
    with ProcessGroup([sys.executable, "-c", code], root=tmp_path, output=subprocess.PIPE) as group:
        child = int(next(group.lines()))
        assert is_running(child)
    assert not is_running(child)


OWNER = """
import subprocess, sys
from pathlib import Path
from infra.execution.processes import ProcessGroup
with ProcessGroup([sys.executable, "-c", sys.argv[1]], root=Path("/"), output=subprocess.PIPE) as group:
    print(next(group.lines()), flush=True)
    group.wait()
"""


@pytest.mark.slow(seconds=2)
def test_command_ends_with_a_process_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, f"import os; print(os.getpid(), flush=True); {SLEEP}"],
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    child.wait(timeout=600)
    assert not is_running(child.pid)


def test_signals_become_exceptions_and_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"), signals_raise():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_stop_kills_what_ignores_sigterm(tmp_path: Path) -> None:
    group = ProcessGroup([sys.executable, "-c", DEAF], root=tmp_path, output=subprocess.PIPE)
    assert next(group.lines()) == "deaf"
    group.stop(grace=0.3)
    assert group.exit_code() == -9


def test_stop_ends_at_once_and_whole_at_a_second_signal(tmp_path: Path) -> None:
    first = ProcessGroup([sys.executable, "-c", DEAF], root=tmp_path, output=subprocess.PIPE)
    second = ProcessGroup([sys.executable, "-c", SLEEP], root=tmp_path)
    said = first.lines()
    assert next(said) == "deaf"

    def again() -> None:
        assert next(said) == "asked"  # so the first signal has reached it
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=again).start()
    stack = ExitStack()
    stack.callback(second.stop, FOREVER)
    stack.callback(first.stop, FOREVER)
    with pytest.raises(KeyboardInterrupt), signals_raise(), stack:
        signal.raise_signal(signal.SIGTERM)
    assert first.exit_code() == -9
    assert second.exit_code() == -15


def test_stop_of_an_ended_command_does_nothing(tmp_path: Path) -> None:
    group = ProcessGroup([sys.executable, "-c", "pass"], root=tmp_path, output=subprocess.PIPE)
    assert group.wait() == 0
    group.stop()
    assert group.exit_code() == 0


def test_environment_finds_this_python_first() -> None:
    assert environment({})["PATH"].split(":")[0] == str(Path(sys.executable).parent)
