"""Checkpoint files that are whole or absent. Knows nothing of what they hold."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """The newest checkpoints of one training, `samples-<clock>-<digest>.pt` in `folder`.

    The digest of the content in the name tells a broken file (disk full, bit rot) from a whole one.
    """

    folder: Path
    fingerprint: str
    """Of the configuration and the inputs; a checkpoint of another one is refused."""
    num_kept: int = 2

    def save(self, samples_seen: int, state: dict[str, Any]) -> Path:
        """Write `state` under a temporary name, flush it to disk, rename it; then remove the oldest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        clock = f"samples-{samples_seen:012d}"
        part = self.folder / f".{clock}.{os.getpid()}.part"
        with part.open("wb") as handle:
            torch.save({"fingerprint": self.fingerprint, "samples_seen": samples_seen, **state}, handle)
            handle.flush()
            os.fsync(handle.fileno())
        path = self.folder / f"{clock}-{_digest(part)}.pt"
        part.replace(path)
        self._flush_folder()
        self._remove_all_but([*(old for old in self._paths() if not old.name.startswith(clock)), path])
        return path

    def newest_path(self) -> Path | None:
        """The newest file, whole or not."""
        return max(self._paths(), default=None)

    def load_newest(self, device: torch.device) -> dict[str, Any] | None:
        """State of the newest checkpoint that can be read; None where there is none.

        A broken file is skipped with a warning.
        Raises ValueError for a checkpoint of another configuration.
        """
        for path in reversed(self._paths()):
            if _digest(path) != path.stem.rpartition("-")[2]:
                logger.warning("checkpoint %s is broken and is skipped; the one before it is used", path)
                continue
            state = torch.load(path, map_location=device, weights_only=True)
            if state["fingerprint"] != self.fingerprint:
                raise ValueError(
                    f"{path} was written for configuration {state['fingerprint']}, this is {self.fingerprint}; "
                    f"remove {self.folder} to start anew"
                )
            return dict(state)
        return None

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("samples-*.pt"))

    def _remove_all_but(self, paths: list[Path]) -> None:
        """Keep the last of `paths`; remove the rest and what a killed process left."""
        kept = paths[-self.num_kept :]
        for path in [*self._paths(), *self.folder.glob(".samples-*.part")]:
            if path not in kept:
                path.unlink()

    def _flush_folder(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
