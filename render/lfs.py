"""Recognises git-LFS pointers: the small texts that stand for files which were cloned, but not fetched."""

from pathlib import Path

STARTS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
"""First bytes of a pointer; the second are those of the format before its name changed (git-lfs, docs/spec.md)."""
REMEDY = "a git-LFS pointer: fetch the file itself (git lfs pull)"


def is_lfs_pointer(path: Path) -> bool:
    """Tell whether a file is a git-LFS pointer instead of its content."""
    with path.open("rb") as file:
        return file.read(max(map(len, STARTS))).startswith(STARTS)
