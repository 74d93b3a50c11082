"""One run at a time in a checkout: the next one is refused, or waits."""

import threading
from pathlib import Path

import pytest

from flows.checkout_lock import only_run


def test_second_run_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with (
        only_run(tmp_path),
        pytest.raises(RuntimeError, match="already has a run; wait for it, cancel it"),
        only_run(tmp_path),
    ):
        pass


@pytest.mark.slow(seconds=2)
def test_run_that_waits_says_so_once_and_begins_when_the_other_ends(tmp_path: Path) -> None:
    said: list[str] = []
    order: list[str] = []
    is_waiting = threading.Event()

    def note(text: str) -> None:
        said.append(text)
        is_waiting.set()

    def second() -> None:
        with only_run(tmp_path, note):
            order.append("second")

    thread = threading.Thread(target=second)
    with only_run(tmp_path):
        thread.start()
        assert is_waiting.wait(timeout=60)
        order.append("first ends")
    thread.join(timeout=60)
    assert order == ["first ends", "second"]
    assert said == [f"{tmp_path} already has a run; waiting for its end"]
