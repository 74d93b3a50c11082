import ctypes
import os
import threading
from pathlib import Path

import pytest

from render.stdout import captured_stdout


def test_captured_stdout_keeps_every_kind_of_line_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_stdout():
        os.write(1, b"from the descriptor\n")
        ctypes.CDLL(None).puts(b"from C")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def speak_and_fail() -> None:
    with captured_stdout():
        ctypes.CDLL(None).puts(b"reading mesh 7")
        raise KeyError("mesh")


def test_captured_stdout_an_error_leaves_with_the_last_lines(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError) as error:
        speak_and_fail()
    assert "reading mesh 7" in error.value.__notes__[0]
    assert capfd.readouterr().out == ""


def test_captured_stdout_stderr_still_speaks(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_stdout():
        os.write(2, b"crash\n")
    assert capfd.readouterr().err == "crash\n"


def test_captured_stdout_leaves_no_thread_and_no_open_file() -> None:
    files, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    with captured_stdout():
        ctypes.CDLL(None).puts(b"reading mesh 7")
        assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == files
