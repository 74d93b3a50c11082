"""Decides when a server may be asked: threads share the gate, so what one of them is told holds for all.

It limits the connections to each server, waits as long as a server asks, backs off for all threads together where a
refusal names no time, and spreads what is left of an allowance over the rest of its window before the server refuses.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from infra.storage.errors import RateLimitError
from infra.storage.rate_limit import ROUNDING_SECONDS, allowances, seconds_to_wait

logger = logging.getLogger(__name__)
LONGEST_BACKOFF = 120.0
"""Seconds of the longest pause where a refusal names no time."""
LONGEST_PAUSE = 3600.0
"""Seconds that a server may ask to wait; beyond, nobody waits and the download says so."""
CLOSE_EVERY = 0.5
"""Seconds between two looks whether the gate was closed while all connections are in use."""


@dataclass
class _Server:
    """What is known of one server; times are of time.monotonic's clock."""

    connections: int = 0
    opens_at: float = 0.0
    """Nobody asks before."""
    next_slot: float = 0.0
    """When the next request may be sent, while requests are spread."""
    spacing: float = 0.0
    """Seconds between two requests until `window_ends`."""
    window_ends: float = 0.0
    refusals: int = 0
    """In a row without a time to wait; those of requests that were under way together count as one."""


class Gate:
    """Lets a request through when its server wants to be asked."""

    def __init__(self, max_connections: int = 16, backoff: float = 1.0) -> None:
        """Open the gate.

        Args:
            max_connections: To one server at once.
            backoff: Seconds of the pause after a refusal that names no time; doubles with each further one in a row.
        """
        self._max_connections = max_connections
        self._backoff = backoff
        self._servers: dict[str, _Server] = defaultdict(_Server)
        self._changed = threading.Condition()
        self._is_closed = threading.Event()

    @contextmanager
    def connection(self, server: str) -> Iterator[None]:
        """Hold one of the connections to `server`. Raises ConnectionError when the gate is closed meanwhile."""
        with self._changed:
            state = self._servers[server]
            while state.connections >= self._max_connections:
                self._changed.wait(CLOSE_EVERY)
                self.sleep(0)
            state.connections += 1
        try:
            yield
        finally:
            with self._changed:
                state.connections -= 1
                self._changed.notify()

    def wait(self, server: str) -> float:
        """Return when `server` may be asked; what is returned is that moment, which `heed` wants to know.

        Raises ConnectionError when the gate is closed for good meanwhile, RateLimitError when the server asks for more
        than LONGEST_PAUSE seconds.
        """
        self.sleep(self._slot(server) - time.monotonic())
        while (left := self._servers[server].opens_at - time.monotonic()) > 0:
            if left > LONGEST_PAUSE:
                raise RateLimitError("the server wants no requests now", left)
            self.sleep(left)
        return time.monotonic()

    def heed(self, server: str, headers: Mapping[str, str], *, is_refused: bool, asked_at: float) -> None:
        """Take in what an answer says of further requests to `server`.

        Args:
            server: Who answers.
            headers: Of the answer.
            is_refused: Whether it is a refusal (429, 503).
            asked_at: When the request was sent, as `wait` returned it.
        """
        pause = seconds_to_wait(headers, is_refused=is_refused)
        with self._changed:
            state, now = self._servers[server], time.monotonic()
            if is_refused and not pause and asked_at >= state.opens_at:  # else it was sent before the last refusal came
                pause = min(self._backoff * 2**state.refusals, LONGEST_BACKOFF)
                state.refusals += 1
            self._spread(state, headers, now)
            is_longer = now + pause > state.opens_at + ROUNDING_SECONDS
            state.opens_at = max(state.opens_at, now + pause if pause else 0.0)
        if is_longer and pause > ROUNDING_SECONDS:
            logger.warning("%s asks for a pause: nothing is asked of it for %.0f s", server, pause)

    def accept(self, server: str) -> None:
        """Note that `server` has served a request: the backoff after its next refusal starts anew."""
        with self._changed:
            self._servers[server].refusals = 0

    def sleep(self, seconds: float) -> None:
        """Wait. Raises ConnectionError when the gate is closed for good meanwhile."""
        if self._is_closed.wait(max(0.0, seconds)):
            raise ConnectionAbortedError("the download was called off")

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._is_closed.set()

    def _slot(self, server: str) -> float:
        """Return the time of the next request to `server`, and take it."""
        with self._changed:
            state, now = self._servers[server], time.monotonic()
            if now >= state.window_ends:
                return now
            slot = min(max(now, state.next_slot), state.window_ends)
            state.next_slot = slot + state.spacing
            return slot

    def _spread(self, state: _Server, headers: Mapping[str, str], now: float) -> None:
        others = max(0, state.connections - 1)
        left = [one for one in allowances(headers) if one.left]
        scarcest = max(left, key=lambda one: one.spacing(others), default=None)
        if scarcest is not None:
            state.spacing = scarcest.spacing(others)
            state.window_ends = now + scarcest.seconds + ROUNDING_SECONDS if state.spacing else 0.0
            state.next_slot = min(max(state.next_slot, now), now + state.spacing)
