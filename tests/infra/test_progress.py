"""What the user reads of a running stage."""

import io

from rich.console import Console

from infra.progress import TerminalProgress
from tasks.outcome import Done, Failed, Rejected
from tasks.ports import Progress


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(*, terminal: bool = False) -> tuple[TerminalProgress, Clock, io.StringIO]:
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200, color_system=None)
    return TerminalProgress(console, clock), clock, out


def test_progress_satisfies_the_port() -> None:
    progress: Progress = make()[0]
    assert progress is not None


def test_items_elsewhere_than_a_terminal_show_the_first_some_and_the_last_line() -> None:
    progress, clock, out = make()
    with progress.items("render", 30) as show:
        for index in range(30):
            clock.now += 1
            show(Done(str(index)) if index % 10 else Failed(str(index), "broken"))
    lines = out.getvalue().splitlines()
    assert lines[0] == "render 0/30"
    assert lines[1] == "render 10/30; done 9, failed 1; 1.0/s, ETA 0:00:20"
    assert lines[-1] == "render 30/30; done 27, failed 3; took 0:00:30"
    assert len(lines) == 4


def test_items_slow_ones_are_counted_by_status_and_timed_each() -> None:
    progress, clock, out = make()
    with progress.items("render", 4) as show:
        clock.now += 30
        show(Rejected("a", "empty"))
    assert out.getvalue().splitlines()[-1] == "render 1/4; done 0, rejected 1; 30.0 s each, ETA 0:01:30"


def test_transfers_show_what_became_of_downloads_their_rate_and_the_time_left() -> None:
    progress, clock, out = make()
    with progress.transfers("download", 3) as show:
        clock.now += 10
        show("done", 20_000_000, 60_000_000)
        clock.now += 10
        show("not allowed", 0, 30_000_000)
        clock.now += 10
        show("done", 40_000_000, None)
    assert out.getvalue().splitlines() == [
        "download 0/3",
        "download 1/3; done 1; 20.0 MB of 80.0 MB, 2.0 MB/s, ETA 0:00:30",
        "download 2/3; done 1, not allowed 1; 20.0 MB of 50.0 MB, 1.0 MB/s, ETA 0:00:30",
        "download 3/3; done 2, not allowed 1; 60.0 MB, 2.0 MB/s, took 0:00:30",
    ]


def test_transfers_of_unknown_size_have_no_time_left() -> None:
    progress, clock, out = make()
    with progress.transfers("download", 2) as show:
        clock.now += 10
        show("missing", 0, None)
    assert out.getvalue().splitlines()[-1] == "download 1/2; done 0, missing 1; 0 bytes, 0 bytes/s, ETA unknown"


def test_items_that_end_with_an_error_show_how_far_they_came() -> None:
    progress, _, out = make()
    try:
        with progress.items("render", 3) as show:
            show(Done("a"))
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert out.getvalue().splitlines()[-1].startswith("render 1/3; done 1")


def test_steps_resumed_half_way_measure_only_what_they_did() -> None:
    progress, clock, out = make()
    with progress.steps("train", 1000) as show:
        show(500, {"loss": 0.25})
        clock.now += 100
        show(600, {"loss": 0.125})
    assert out.getvalue().splitlines()[-1] == "train 600/1000; loss 0.125; 1.0/s, ETA 0:06:40"


def test_items_on_a_terminal_show_a_bar_with_the_counts() -> None:
    progress, clock, out = make(terminal=True)
    with progress.items("render", 2) as show:
        clock.now += 5
        show(Done("a"))
        progress.note("a word")
        show(Failed("b", "broken"))
    shown = out.getvalue()
    assert "2/2 done 1, failed 1; took 0:00:05" in shown
    assert "a word" in shown


def test_note_long_line_is_not_wrapped() -> None:
    progress, _, out = make()
    progress.note("word " * 100 + "[end]")
    assert out.getvalue().splitlines() == ["word " * 100 + "[end]"]
