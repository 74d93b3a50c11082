"""Unpacks a .zip file that holds one object; what it may cost is limited before anything is written."""

import errno
import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from render.errors import Unrenderable
from render.formats import OBJECT_SUFFIXES, rank_of
from render.lfs import REMEDY, is_lfs_pointer
from tasks.artifacts.atomic import atomic_folder

ARCHIVE = ".zip"
MAX_FILES = 10_000
MAX_RATIO = 1000
"""Times that content may be larger than the archive; above it is a bomb: text and blank images reach some hundreds."""
MAX_BYTES = 4 * 10**9
"""Of the content where no other limit is given."""
SMALL = 10**7
"""Bytes of content that cost nothing, whatever the ratio."""


UNUSABLE_NAMES = (None, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL)
"""What the system says of names that cannot be given to files; None: what bz2 says of damaged data."""


def unpack(archive: Path, target: Path, *, max_bytes: int | None = None) -> Path:
    """Write the files of an archive into the folder `target`, whole or not at all; return the object's main file.

    Raises Unrenderable when the archive is damaged, locked by a password, a git-LFS pointer, leads out of itself or
    does not hold one object, OSError(EFBIG) when the content is larger than `max_bytes`.
    """
    if is_lfs_pointer(archive):
        raise Unrenderable(REMEDY)
    try:
        with zipfile.ZipFile(archive) as content:
            members = check_members(content.infolist(), archive.stat().st_size, max_bytes or MAX_BYTES)
            main = main_file([inner_name(member) for member in members])
            shutil.rmtree(target, ignore_errors=True)
            with atomic_folder(target) as part:
                for member in members:
                    write_member(content, member, part)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise Unrenderable(f"the archive cannot be unpacked ({error}): pack it again as a plain .zip file") from error
    except OSError as error:
        if error.errno not in UNUSABLE_NAMES:
            raise
        said = error.strerror or str(error)
        raise Unrenderable(
            f"the archive cannot be unpacked ({said}): pack it again as a plain .zip file, with short names, and none "
            "for a file and a folder"
        ) from error
    return target / main


def check_members(members: list[zipfile.ZipInfo], packed: int, max_bytes: int) -> list[zipfile.ZipInfo]:
    """Return the files to unpack, after checking that they may be."""
    files = [member for member in members if not member.is_dir() and not is_clutter(inner_name(member))]
    if len(files) > MAX_FILES:
        raise Unrenderable(f"the archive holds {len(files)} files, more than {MAX_FILES}: unpack it")
    for member in files:
        path = PurePosixPath(inner_name(member))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise Unrenderable(
                f"the archive's file '{member.filename}' leads out of it; pack it again with plain names"
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise Unrenderable(f"the archive's file '{member.filename}' is a symbolic link; pack the file itself")
        if member.flag_bits & 1:
            raise Unrenderable("the archive is locked by a password: unpack it")
    size = sum(member.file_size for member in files)
    if size > max(SMALL, MAX_RATIO * packed):
        raise Unrenderable(f"the archive's content is {size / packed:.0f} times as large as the archive: a zip bomb")
    if size > max_bytes:
        raise OSError(errno.EFBIG, f"{size} bytes, the limit is {max_bytes}")
    return files


def main_file(names: list[str]) -> str:
    """Return the name of the object's file among those of an archive.

    Where one object is there in several formats, under one name, it is the first by the order of `render.formats`.

    Raises Unrenderable when there is none or when there are several objects.
    """
    found = [name for name in names if PurePosixPath(name).suffix.lower() in OBJECT_SUFFIXES]
    inner = [name for name in found if name.lower().endswith(ARCHIVE)]
    found = [name for name in found if name not in inner]
    if not found and inner:
        raise Unrenderable(f"the archive holds another one, '{inner[0]}': unpack it")
    if not found:
        raise Unrenderable(
            f"the archive holds no object: none of {len(names)} files is one of {' '.join(OBJECT_SUFFIXES)}"
        )
    if len({PurePosixPath(name).stem.lower() for name in found}) > 1:
        shown = ", ".join(f"'{name}'" for name in sorted(found)[:3])
        raise Unrenderable(
            f"the archive holds {len(found)} objects ({shown}{', ...' if len(found) > 3 else ''}): unpack it"
        )
    return min(found, key=lambda name: (rank_of(PurePosixPath(name)), name))


def write_member(content: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Write one file; its size is what the archive says, or it is not written."""
    path = folder / inner_name(member)
    path.parent.mkdir(parents=True, exist_ok=True)
    with content.open(member) as source, path.open("wb") as copy:
        shutil.copyfileobj(source, copy)


def inner_name(member: zipfile.ZipInfo) -> str:
    """Return the path of a file inside its archive, with / between folders whatever the system that packed it."""
    return member.filename.replace("\\", "/")


def is_clutter(name: str) -> bool:
    """Tell whether a file is what macOS or an editor adds: hidden, or a copy of attributes."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts if part != "..")


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Yield an object's main file: `path` itself, or the one in it, unpacked for as long as the context lasts.

    Raises Unrenderable when an archive does not hold one object.
    """
    if path.suffix.lower() != ARCHIVE:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            main = unpack(path, Path(folder) / "object")
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            raise Unrenderable(f"the archive's content is too large: {error.strerror}") from error
        yield main
