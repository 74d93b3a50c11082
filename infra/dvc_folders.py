"""Lets DVC hash folders as users have them: `~`, links to folders, broken links, odd names, closed doors.

DVC by itself takes `~` for a folder's name, does not look behind links to folders, and stops at a broken link, at a
name that is not UTF-8, at a file that may not be read and at a `.dvcignore` below a dependency. `install` changes that
for this process, and this file run as a program is the command line `dvc` with it. A folder without such things has the
hash that DVC alone gives it. DVC is pinned; the two functions that are replaced are private to it.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dvc.cli import main
from dvc.output import Output
from dvc_data.fsutils import _localfs_info
from dvc_data.hashfile import build
from dvc_objects.fs.local import LocalFileSystem

COMMAND = (sys.executable, "-P", str(Path(__file__).resolve()))
"""The command line `dvc` with these changes, in any working directory; -P keeps infra/ itself off the import path."""
Files = dict[str, dict[str, Any]]

_dvc_walk: Callable[..., Iterator[tuple[str, Files]]] = build._walk_files
_dvc_parse_path = Output._parse_path


def install() -> None:
    """Change how DVC reads folders in this process."""
    build._walk_files = _walk_files
    Output._parse_path = _parse_path


def _parse_path(self: Output, fs: Any, fs_path: str) -> Any:
    """Return the absolute path of a dependency or output; dvc.lock keeps the path as it is written."""
    return _dvc_parse_path(self, fs, os.path.expanduser(fs_path) if _is_local(fs) else fs_path)  # noqa: PTH111 - as text


def _walk_files(fs: Any, path: str, ignore: Any = None) -> Iterator[tuple[str, Files]]:
    """Yield each folder below `path`, once whatever links to it, with those of its files that can be read."""
    if not _is_local(fs):
        yield from _dvc_walk(fs, path, ignore)
        return
    waiting = [path]
    walked = {str(above) for above in Path(os.path.realpath(path)).parents}
    while waiting:
        start = waiting.pop(0)
        for root, folders, names in ignore.walk(fs, start) if ignore else fs.walk(start):
            real = os.path.realpath(root)
            if real in walked or not _is_text(root):
                continue
            walked.add(real)
            yield root, {name: info for name in names if (info := _readable(f"{root}/{name}")) is not None}
            waiting += [f"{root}/{name}" for name in sorted(folders) if Path(root, name).is_symlink()]


def _readable(path: str) -> dict[str, Any] | None:
    """Return what DVC wants to know of a file; None for what is no file that can be read and named."""
    if not _is_text(path) or Path(path).name == build.DefaultIgnoreFile:
        return None
    try:
        info = _localfs_info(path)
    except OSError:
        return None
    return info if stat.S_ISREG(info["mode"]) and os.access(path, os.R_OK) else None


def _is_local(fs: Any) -> bool:
    return isinstance(fs, LocalFileSystem)


def _is_text(path: str) -> bool:
    """Return whether a path is UTF-8, as tasks.sources.walk asks too, which a file that runs alone cannot import."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    install()
    sys.exit(main(sys.argv[1:]))
