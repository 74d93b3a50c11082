"""What can go wrong with a download that another attempt may mend."""

import errno


class ServerBusyError(OSError):
    """The server cannot serve this file now; `retry_after` is how many seconds it asks to wait."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitError(ConnectionError):
    """The server is asked too much, which says nothing of the file: a ConnectionError with errno EBUSY.

    `retry_after` is how many seconds the server asks to wait.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(errno.EBUSY, message)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.strerror)


class BrokenBodyError(OSError):
    """What came does not have the hash that the server names, so nothing of it may be kept."""
