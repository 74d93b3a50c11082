"""Compares what a download still needs with what the disk has, before and while it runs."""

import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

MIN_MEASURED = 20
"""Objects of which the mean size is taken for the others."""


class DiskBudget:
    """The bytes that are still to come, by known sizes or by the mean of what has come."""

    def __init__(
        self, todo: Collection[str], folder: Path, reserve: int, *, sizes: Mapping[str, int], measured: Iterable[int]
    ) -> None:
        """Begin before the first object.

        Args:
            todo: Uids of the objects to fetch.
            folder: On the disk that they go to.
            reserve: Bytes of that disk that stay free.
            sizes: In bytes, of the objects for which somebody knows it.
            measured: Sizes in bytes of objects that were fetched before.
        """
        self._folder = folder
        self._reserve = reserve
        self._sizes = {uid: sizes[uid] for uid in todo if uid in sizes}
        self._known_left = sum(self._sizes.values())
        self._num_unknown = len(todo) - len(self._sizes)
        measured = list(measured)
        self._num_measured, self._bytes_measured = len(measured), sum(measured)

    @property
    def to_come(self) -> int | None:
        """Bytes still to come; None while too few sizes are known to tell."""
        if not self._num_unknown:
            return self._known_left
        num, total = self._num_measured, self._bytes_measured
        if num < MIN_MEASURED:
            num, total = len(self._sizes), sum(self._sizes.values())
        return self._known_left + self._num_unknown * total // num if num >= MIN_MEASURED else None

    def count(self, uid: str, num_bytes: int) -> None:
        """Note the end of one object, with the bytes that it has on disk; 0: it was not kept."""
        if uid in self._sizes:
            self._known_left -= self._sizes[uid]
        else:
            self._num_unknown -= 1
        if num_bytes:
            self._num_measured += 1
            self._bytes_measured += num_bytes

    def shortage(self) -> str | None:
        """Return a sentence when what is to come does not fit on the disk beside the reserve.

        None when it does, when nothing is to come and while nobody knows how much.
        """
        to_come = self.to_come
        if not to_come:
            return None
        free = shutil.disk_usage(self._folder).free
        missing = to_come + self._reserve - free
        if missing <= 0:
            return None
        about = "" if self.is_exact else "about "
        return (
            f"{about}{_gb(to_come)} are still to come, but {_gb(free)} are free under {self._folder}, of which "
            f"{_gb(self._reserve)} stay in reserve (disk_reserve_gb in the profile): free {_gb(missing)}, or lower "
            "select.max_objects"
        )

    @property
    def is_exact(self) -> bool:
        """Whether the size of every object to come is known."""
        return not self._num_unknown


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.3g} GB"
