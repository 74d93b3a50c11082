"""An open response, and how its bytes are checked."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from infra.storage.errors import BrokenBodyError

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Digest:
    """A hash of a whole file that the server names."""

    kind: Literal["sha256", "git-blob"]
    """git-blob: SHA-1 of the content behind git's header, which a hub names for files outside LFS."""
    value: str
    """Hexadecimal."""

    def check(self, path: Path) -> None:
        """Raise BrokenBodyError when a file has another hash."""
        header = f"blob {path.stat().st_size}\0".encode()
        start = hashlib.sha256 if self.kind == "sha256" else partial(hashlib.sha1, header, usedforsecurity=False)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, start).hexdigest()
        if found != self.value:
            raise BrokenBodyError(f"its {self.kind} hash is {found}, but the server says {self.value}")


@dataclass(frozen=True)
class Body:
    """An open response: the bytes of the file from `start` on."""

    chunks: Iterator[bytes]
    start: int
    total: int | None
    """Size of the whole file; None: the server does not say."""
    version: str | None
    """Changes when the file does; None: the server does not say, so the file cannot be resumed."""
    digest: Digest | None = None
    """Of the whole file; None: the server does not say."""
