"""A disk that is full when a test wants it to be."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[int], int]]:
    """A file system in memory whose size can be set, in KiB; skips where this process may not mount one."""
    folder.mkdir()

    def mount(*options: str) -> int:
        return subprocess.run(
            ["mount", *options, str(folder)], check=False, capture_output=True, timeout=600
        ).returncode

    if mount("-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        pytest.skip("no right to mount a file system")
    try:
        yield lambda size_kb: mount("-o", f"remount,size={size_kb}k")
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=600)
