"""Checkpoint files, written atomically. Knows nothing of what they hold."""

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from filelock import FileLock, Timeout
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

FORMAT = 2
"""Version of the names and nesting of what models.training.loop saves."""
LOCK_TIMEOUT = 60.0
"""Seconds to wait for the ranks of an interrupted training, which finish their step and save."""
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""How a file system says that it has no locks."""
DIGEST_LENGTH = 16
"""Hex digits of the digest in a file's name."""
BEST = "best.pt"
"""Name of the checkpoint with the best validation metric."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """The newest checkpoints of one training: files `samples-<samples seen>-<digest>.pt`, and `best.pt`.

    The name holds a SHA-256 digest of the content, which tells a damaged file (full disk, bit rot) from an intact one.

    Args:
        folder: Where the files lie; made when it is first needed.
        fingerprint: Hash of the training's configuration and inputs.
        keep_last: How many of the newest checkpoints stay, besides the best one.
    """

    folder: Path
    fingerprint: str
    """A checkpoint with another fingerprint is refused."""
    keep_last: int = 2

    def save(self, samples_seen: int, state: dict[str, Any], *, is_best: bool = False) -> Path:
        """Write a checkpoint to a temporary file, flush and rename it; then remove the oldest ones.

        Args:
            samples_seen: The clock of the training.
            state: Nested dicts and lists of tensors and plain values.
            is_best: Also keep it as `best.pt`.

        Returns:
            The path of the checkpoint.

        Raises:
            OSError: With ENOSPC, and no partial file left, when the disk has too little room.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        clock = f"samples-{samples_seen:012d}"
        part = self.folder / f".{clock}.{os.getpid()}.part"
        self._require_room(state)
        try:
            with part.open("wb") as handle:
                about = {"format": FORMAT, "fingerprint": self.fingerprint, "samples_seen": samples_seen}
                hashing: Any = _HashingFile(handle)  # torch asks for no more than it has
                torch.save(about | state, hashing)
                handle.flush()
                os.fsync(handle.fileno())
        except (OSError, RuntimeError) as error:  # torch has its own name for a failed write
            part.unlink(missing_ok=True)
            self._require_room(state)
            number = getattr(error, "errno", None) or errno.EIO
            raise OSError(number, f"writing a checkpoint into {self.folder} failed: {error}") from error
        path = self.folder / f"{clock}-{hashing.digest()}.pt"
        part.replace(path)
        if is_best:
            try:
                part.hardlink_to(path)
            except OSError:  # not every file system has links
                shutil.copyfile(path, part)
            part.replace(self.folder / BEST)
        self._flush_folder()
        self._remove_all_but([*(old for old in self._paths() if not old.name.startswith(clock)), path])
        return path

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold an exclusive lock on the folder; the kernel releases it when the process ends, however it ends.

        Raises:
            BlockingIOError: Another process still holds the lock after LOCK_TIMEOUT seconds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock", timeout=LOCK_TIMEOUT, fallback_to_soft=False)
        with ExitStack() as stack:
            try:
                stack.enter_context(lock)
            except Timeout:
                raise BlockingIOError(
                    errno.EAGAIN, f"another process trains into {self.folder}; wait until it has ended, or end it"
                ) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                logger.warning(
                    "%s cannot be locked (%s): see to it that one training alone uses it", self.folder, error
                )
            yield

    def newest_path(self) -> Path | None:
        """Path of the newest checkpoint, intact or not; None where there is none."""
        return max(self._paths(), default=None)

    def load_newest(self, *, is_mapped: bool = False) -> dict[str, Any] | None:
        """Load the newest intact checkpoint; a damaged file is skipped with a warning.

        Args:
            is_mapped: Memory-map the file, so that tensors are read from disk when they are used.

        Returns:
            What was saved, with `samples_seen`, on the CPU; None where there is no checkpoint.

        Raises:
            ValueError: The checkpoint has another format or another fingerprint.
        """
        for path in reversed(self._paths()):
            if _digest(path) != path.stem.rpartition("-")[2]:
                logger.warning("checkpoint %s is broken and is skipped; the one before it is used", path)
                continue
            state = torch.load(path, map_location="cpu", mmap=is_mapped, weights_only=True)
            if state.get("format") != FORMAT:
                raise ValueError(
                    f"{path} has format {state.get('format', 1)}, this program writes {FORMAT}; finish the training "
                    f"with the program that began it, or remove {self.folder} to start anew"
                )
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
        """Remove all checkpoints but the last of `paths`, and the temporary files of killed processes."""
        remaining = paths[-self.keep_last :]
        for path in [*self._paths(), *self.folder.glob(".samples-*.part")]:
            if path not in remaining:
                path.unlink()

    def _require_room(self, state: dict[str, Any]) -> None:
        """Raise OSError(ENOSPC) unless the tensors of `state` fit onto the disk."""
        needed, free = size_of(state), shutil.disk_usage(self.folder).free
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"a checkpoint of {needed / 2**20:,.0f} MiB does not fit into {self.folder}, which has "
                f"{free / 2**20:,.0f} MiB left; what was saved before stays",
            )

    def _flush_folder(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def size_of(state: Any) -> int:
    """Total bytes of all tensors in nested dicts and lists."""
    if is_quantized(state):  # claims the size of its unquantized shape
        return sum(size_of(getattr(state, name)) for name in state.__tensor_flatten__()[0])
    if isinstance(state, torch.Tensor):
        return state.nbytes
    if isinstance(state, dict):
        return sum(map(size_of, state.values()))
    return sum(map(size_of, state)) if isinstance(state, list | tuple) else 0


def is_quantized(value: Any) -> bool:
    """Whether a tensor is made of others, as torchao's quantized moments are."""
    return bool(is_traceable_wrapper_subclass(value))


class _HashingFile:
    """A file for `torch.save`, which writes from the beginning to the end, that hashes what passes through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> str:
        return self._hash.hexdigest()[:DIGEST_LENGTH]


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:DIGEST_LENGTH]
