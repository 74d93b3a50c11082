"""What became of an object that was fetched."""

from dataclasses import dataclass
from enum import StrEnum

from tasks.outcome import Outcome


class FetchKind(StrEnum):
    """What became of an object, in a word for the user who waits."""

    DONE = "done"
    MISSING = "missing"
    TOO_LARGE = "too large"
    DAMAGED = "damaged"
    NOT_ALLOWED = "not allowed"
    SERVER_ERROR = "server error"
    BUSY = "busy"
    NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Fetched:
    """What became of one object.

    Rejected: its server will say the same another time, so that it is not asked for again. Failed: it is.
    """

    outcome: Outcome
    kind: FetchKind
