"""Puts files into a folder that several machines see."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FolderUploads:
    """A folder that several machines see."""

    folder: Path

    def size_of(self, key: str) -> int | None:
        """Return the size of a file in bytes; None: there is none."""
        try:
            return (self.folder / key).stat().st_size
        except FileNotFoundError:
            return None

    def put(self, path: Path, key: str) -> None:
        """Copy a file there, whole or not at all."""
        target = self.folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with path.open("rb") as source, part.open("xb") as copy:
                while chunk := source.read(1 << 20):
                    copy.write(chunk)
                copy.flush()
                os.fsync(copy.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        """Remove a file; none need be there."""
        with suppress(FileNotFoundError):
            (self.folder / key).unlink()

    def check(self) -> None:
        """Raise OSError where files cannot be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        probe = self.folder / f".{secrets.token_hex(4)}.probe"
        probe.touch()
        probe.unlink()
