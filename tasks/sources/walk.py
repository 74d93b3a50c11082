"""Finds the files of objects below a folder as users have them: with links, loops, odd names and closed doors."""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Found:
    """What lies below a folder; all paths are relative to it, with `/`, as the file system spells them."""

    objects: list[str]
    """Files that can be objects, sorted."""
    faults: dict[str, str]
    """What cannot be an object though it looks like one, by path, with the reason in a sentence."""


@dataclass(frozen=True, order=True)
class _Folder:
    path: str
    """Relative to the root; empty for the root."""
    real: str
    """Absolute, without links."""


def walk(root: Path, suffixes: Collection[str]) -> Found:
    """Find the files below `root` with one of the endings `suffixes` (lower case, with the dot).

    Links to files and folders are followed, each target once: a file that several paths lead to is listed at the one
    that needs no link or else is first, and a link that leads back to a folder above ends there. What begins with a dot
    is hidden and is passed over, but for a hidden file with one of the endings, which is a fault unless macOS made it.

    Args:
        root: A folder.
        suffixes: Of main files.

    Raises OSError when `root` itself cannot be read.
    """
    os.scandir(root).close()
    walking = _Walk(suffixes)
    walking.through(os.path.realpath(root))
    files = walking.files
    faults = walking.faults
    for path, real in sorted(walking.links.items()):
        if real in files:
            faults[path] = f"a link to the same file as {readable(files[real])}, which is used"
        else:
            files[real] = path
    for path in files.values():
        if not is_text(path):
            faults[path] = f"its path {readable(path)} is not UTF-8: rename it, for example with convmv"
    return Found(sorted(path for path in files.values() if path not in faults), faults)


def readable(path: str) -> str:
    """Return a path for a message; bytes that are no UTF-8 and control characters are written as escapes."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


class _Walk:
    """Goes through folders and collects what it meets."""

    def __init__(self, suffixes: Collection[str]) -> None:
        self._suffixes = suffixes
        self._waiting: list[_Folder] = []
        self._linked: list[_Folder] = []
        self.files: dict[str, str] = {}
        """Path by real path."""
        self.links: dict[str, str] = {}
        """Real path by path, of files that are links themselves."""
        self.faults: dict[str, str] = {}

    def through(self, root: str) -> None:
        """Visit every folder once, those that need no link first, so that a link changes the place of no object."""
        self._waiting = [_Folder("", root)]
        walked = {str(above) for above in Path(root).parents}  # a link to one of these leads back here
        while self._waiting or self._linked:
            folder = self._waiting.pop() if self._waiting else heappop(self._linked)
            if folder.real not in walked:
                walked.add(folder.real)
                self._visit(folder)

    def _visit(self, folder: _Folder) -> None:
        try:
            with os.scandir(folder.real) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"the folder {readable(folder.path)} cannot be read ({error.strerror}): open it with chmod"
            self.faults[folder.path] = reason
            return
        for entry in entries:
            path = f"{folder.path}/{entry.name}" if folder.path else entry.name
            if not entry.name.startswith("."):
                self._meet(path, entry)
            elif self._is_named_like_one(entry) and not entry.name.startswith("._"):  # macOS's notes beside a file
                self.faults[path] = "hidden, because its name begins with a dot: rename it"

    def _meet(self, path: str, entry: os.DirEntry[str]) -> None:
        is_named_like_one = self._is_named_like_one(entry)
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            if is_named_like_one or not PurePosixPath(entry.name).suffix:
                self.faults[path] = _why_broken(entry, error)
            return
        if stat.S_ISDIR(mode):
            if entry.is_symlink():
                heappush(self._linked, _Folder(path, os.path.realpath(entry.path)))
            else:
                self._waiting.append(_Folder(path, entry.path))
        elif is_named_like_one and not stat.S_ISREG(mode):
            self.faults[path] = "neither a file nor a folder"
        elif is_named_like_one and entry.is_symlink():
            self.links[path] = os.path.realpath(entry.path)
        elif is_named_like_one:
            self.files[entry.path] = path

    def _is_named_like_one(self, entry: os.DirEntry[str]) -> bool:
        return PurePosixPath(entry.name).suffix.lower() in self._suffixes


def _why_broken(entry: os.DirEntry[str], error: OSError) -> str:
    if not entry.is_symlink():
        return f"cannot be read ({error.strerror})"
    target = str(Path(entry.path).readlink())
    if ".git/annex/objects/" in target:
        return "its content is not here (git-annex): fetch it with `git annex get` or `datalad get`"
    if isinstance(error, FileNotFoundError):
        return f"a link to {readable(target)}, which is not there"
    return f"a link to {readable(target)}, which cannot be followed ({error.strerror})"


def is_text(path: str) -> bool:
    """Return whether the file system's bytes for the path are UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
