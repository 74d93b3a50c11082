"""Holds back all requests to a server until it wants to be asked again, and reads when that is from its answers."""

import logging
import re
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

logger = logging.getLogger(__name__)
ROUNDING_SECONDS = 1.0
"""Servers round the seconds to wait; a request that comes a moment too early counts in the next window."""
ENTRY = re.compile(r"(?:^|[\s;,])(r|remaining|t|reset)\s*=\s*(\d+)")


class Gate:
    """Open but for the servers that have asked for a pause; threads share it, so one answer holds all of them."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()
        self._is_closed = threading.Event()

    def pause(self, server: str, seconds: float) -> None:
        """Let nobody ask `server` for so many seconds from now; a longer pause that was asked for stays."""
        until = time.monotonic() + seconds
        with self._lock:
            is_longer = until > self._until.get(server, 0.0) + ROUNDING_SECONDS
            self._until[server] = max(until, self._until.get(server, 0.0))
        if is_longer and seconds > ROUNDING_SECONDS:
            logger.warning("%s asks for a pause: nothing is asked of it for %.0f s", server, seconds)

    def wait(self, server: str) -> None:
        """Return when `server` may be asked. Raises ConnectionError when the gate is closed for good meanwhile."""
        while (left := self._until.get(server, 0.0) - time.monotonic()) > 0:
            self.sleep(left)

    def sleep(self, seconds: float) -> None:
        """Wait. Raises ConnectionError when the gate is closed for good meanwhile."""
        if self._is_closed.wait(seconds):
            raise ConnectionAbortedError("the download was called off")

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._is_closed.set()


def seconds_to_wait(headers: Mapping[str, str], *, is_refused: bool) -> float:
    """Return for how many seconds an answer asks not to come again; 0.0 where it does not.

    Args:
        headers: Of the answer. `Retry-After` is seconds or a date; `RateLimit` is `"NAME";r=LEFT;t=SECONDS`, several
            with commas between, or `limit=..., remaining=LEFT, reset=SECONDS`.
        is_refused: Whether the answer is a refusal (429, 503). Otherwise only an allowance that is used up counts.
    """
    asked = [_retry_after(headers)] if is_refused else []
    asked += [reset for left, reset in _allowances(headers.get("RateLimit", "")) if left == 0 or is_refused]
    longest = max(asked, default=0.0)
    return longest + ROUNDING_SECONDS if longest else 0.0


def _allowances(text: str) -> list[tuple[int, float]]:
    """Return how many requests are left in each window that a RateLimit header names, and its seconds to the next."""
    found = []
    for entry in text.split(",") if ";" in text else [text]:
        row = {key[:3]: int(value) for key, value in ENTRY.findall(entry)}
        left, reset = row.get("r", row.get("rem")), row.get("t", row.get("res"))
        if reset is not None:
            found.append((0 if left is None else left, float(reset)))
    if any(left == 0 for left, _ in found):  # the others are not what holds us
        return [(left, reset) for left, reset in found if left == 0]
    return found


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return Retry-After in seconds; a date counts from the date of the answer, for this machine's clock may differ."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):
        return 0.0
