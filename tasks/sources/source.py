"""The interface of every source of objects."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from tasks.artifacts.randomness import share_of
from tasks.artifacts.tables import Entry
from tasks.config import CatalogConfig


class Source(Protocol):
    """A place that objects come from; it lists them and fetches their files."""

    is_permanent: bool
    """Whether a location always names the same bytes, so that what was fetched once need not be fetched again."""
    num_connections: int
    """How many objects are best fetched at once."""

    def entries(self) -> list[Entry]:
        """Return the objects that the configuration asks for, sorted by uid, with the source's own scores."""
        ...

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Write the files of `entry` into `folder`, whole or not at all; return the main file.

        Raises what tasks.ports.Store raises: FileNotFoundError, ConnectionError, OSError(EFBIG) above `max_bytes`.
        """
        ...


def choose(uids: Iterable[str], config: CatalogConfig, seed: int) -> list[str]:
    """Return the uids that match `include`, or the first `max_objects` of them by a hash of seed and uid; sorted.

    Raises ValueError when nothing matches.
    """
    matching = sorted(uid for uid in uids if any(fnmatchcase(uid, pattern) for pattern in config.include))
    if not matching:
        patterns = ", ".join(config.include)
        raise ValueError(f"catalog.include {patterns} matches no object of source {config.source}: widen it")
    by_hash = sorted(matching, key=lambda uid: share_of(seed, "catalog", uid))
    return sorted(by_hash[: config.max_objects])
