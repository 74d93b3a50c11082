"""Shows how far a stage is: a live bar on a terminal, lines at a sensible pace elsewhere. Reads only `.status`."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

LINE_EVERY = 10.0
"""Seconds between lines where there is no terminal."""
MAX_METRICS = 4

Clock = Callable[[], float]
Show = Callable[[int, str], None]


class HasStatus(Protocol):
    """The outcome of one item, as far as progress needs it."""

    @property
    def status(self) -> str:
        """done, rejected or failed."""
        ...


class TerminalProgress:
    """Shows the progress of one stage on stderr."""

    def __init__(self, console: Console | None = None, clock: Clock = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock

    @contextmanager
    def items(self, label: str, total: int) -> Iterator[Callable[[HasStatus], None]]:
        """Count outcomes: done/rejected/failed, rate, time left."""
        pace = Pace(total, self._clock)
        pace.begin(0)
        counts = Counter({"done": 0})
        with self._shown(label, total) as show:

            def count(outcome: HasStatus) -> None:
                counts[outcome.status] += 1
                tally = ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
                show(counts.total(), f"{tally}; {pace.text(counts.total())}")

            yield count

    @contextmanager
    def transfers(self, label: str, total: int) -> Iterator[Callable[[str, int, int | None], None]]:
        """Follow downloads: what became of them, bytes received and to come, bytes a second, time left.

        Call with (what became of one in a word, its bytes, bytes still to come or None where nobody knows).
        """
        start, received, counts = self._clock(), 0, Counter({"done": 0})
        with self._shown(label, total) as show:

            def count(kind: str, num_bytes: int, to_come: int | None) -> None:
                nonlocal received
                received += num_bytes
                counts[kind] += 1
                tally = ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
                is_last = counts.total() >= total
                volume = transfer_text(received, None if is_last else to_come, self._clock() - start, is_last=is_last)
                show(counts.total(), f"{tally}; {volume}")

            yield count

    @contextmanager
    def steps(self, label: str, total: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
        """Follow a loop: call with (steps done so far, latest metrics). It may begin anywhere, as after a resume."""
        pace = Pace(total, self._clock)
        with self._shown(label, total) as show:

            def follow(done: int, metrics: Mapping[str, float]) -> None:
                pace.begin(done)
                numbers = [f"{name} {value:.4g}" for name, value in list(metrics.items())[:MAX_METRICS]]
                show(done, "; ".join([*numbers, pace.text(done)]))

            yield follow

    def note(self, text: str) -> None:
        """Print one line for the user."""
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    @contextmanager
    def _shown(self, label: str, total: int) -> Iterator[Show]:
        with self._bar(label, total) if self._console.is_terminal else self._lines(label, total) as show:
            yield show

    @contextmanager
    def _bar(self, label: str, total: int) -> Iterator[Show]:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}")
        with RichProgress(*columns, console=self._console) as bar:
            task = bar.add_task(label, total=total, text="")
            yield lambda done, text: bar.update(task, completed=done, text=text)

    @contextmanager
    def _lines(self, label: str, total: int) -> Iterator[Show]:
        lines = Lines(self.note, self._clock)
        lines.write(f"{label} 0/{total}")
        try:
            yield lambda done, text: lines.write(f"{label} {done}/{total}; {text}")
        finally:
            lines.flush()


class Lines:
    """Passes on the first line, then one per LINE_EVERY, and with `flush` the last."""

    def __init__(self, note: Callable[[str], None], clock: Clock) -> None:
        self._note = note
        self._clock = clock
        self._next = clock()
        self._held = ""

    def write(self, line: str) -> None:
        """Show the line, or hold it until there is time."""
        self._held = line
        if self._clock() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Show the line that is held."""
        if self._held:
            self._note(self._held)
        self._held = ""
        self._next = self._clock() + LINE_EVERY


class Pace:
    """Measures the rate of a loop from where it began, which after a resume is not 0."""

    def __init__(self, total: int, clock: Clock) -> None:
        self._total = total
        self._clock = clock
        self._start: tuple[int, float] | None = None

    def begin(self, done: int) -> None:
        """Start measuring at `done`; only the first call counts."""
        self._start = self._start or (done, self._clock())

    def text(self, done: int) -> str:
        """Return the rate with the time left, or at the end the time taken."""
        assert self._start is not None, "begin() comes first"
        made, elapsed = done - self._start[0], self._clock() - self._start[1]
        if done >= self._total:
            return f"took {_span(elapsed)}"
        if made <= 0 or elapsed <= 0:
            return "ETA unknown"
        rate = made / elapsed
        speed = f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
        return f"{speed}, ETA {_span((self._total - done) / rate)}"


def transfer_text(received: int, to_come: int | None, elapsed: float, *, is_last: bool) -> str:
    """Return what a download has received in so many seconds, how fast that was and, by that rate, when it ends."""
    rate = received / elapsed if elapsed > 0 else 0.0
    total = "" if to_come is None else f" of {decimal(received + to_come)}"
    text = f"{decimal(received)}{total}, {decimal(round(rate))}/s"
    if is_last:
        return f"{text}, took {_span(elapsed)}"
    return f"{text}, ETA {_span(to_come / rate) if rate and to_come is not None else 'unknown'}"


def _span(seconds: float) -> str:
    """Format a duration as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))
