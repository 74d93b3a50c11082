"""Fetches objects from a source into the work folder, validates them and keeps a journal. Knows no stage."""

import errno
import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from render import gltf
from render.errors import Unrenderable
from render.lfs import REMEDY, is_lfs_pointer
from tasks.artifacts.atomic import hard_link
from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import fingerprint
from tasks.artifacts.resume import Journal
from tasks.artifacts.tables import Entry, folder_of
from tasks.config import DownloadConfig
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.sources.source import Source
from tasks.sources.walk import is_text, readable

MAX_PATH = 4096
"""Bytes of the longest path of a file."""


@dataclass(frozen=True)
class Fetcher:
    """Fetches objects of `source` into folders of `work`, one for each uid and location. Threads may share it."""

    source: Source
    config: DownloadConfig
    work: Path
    hub_url: str
    """Address that is cut out of error messages: the ledger does not depend on where an object came from."""

    def fetch(self, entry: Entry) -> Outcome:
        """Fetch and validate one object; the ledger's row says what came of it.

        Raises ConnectionError when the server does not answer, or stays busy (EBUSY), and OSError(ENOSPC) when the
        disk is full: these are no fault of the object.
        """
        folder = self._folder(entry)
        try:
            main = self.source.fetch(entry, folder, max_bytes=self._max_bytes)
        except ConnectionError as error:
            said = self._message(error)
            raise (ConnectionError(error.errno, said) if error.errno else ConnectionError(said)) from error
        except Unrenderable as fault:
            return Rejected(entry.uid, str(fault))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            return self._verdict(entry.uid, error)
        if problem := _odd_name(folder) or validation_error(main):
            shutil.rmtree(folder)
            return Rejected(entry.uid, problem)
        outcome = Done(entry.uid, describe_files(main, folder, entry.uid))
        if self.source.is_permanent:
            self._journal.append(_key(entry), outcome)
        return outcome

    def _verdict(self, uid: str, error: OSError) -> Outcome:
        """Return what an error says of the object: that it is not there, not open or too large, or nothing."""
        if isinstance(error, FileNotFoundError):
            return Rejected(uid, self._message(error))
        if isinstance(error, PermissionError):
            return Rejected(uid, f"{Path(error.filename or 'a file').name} may not be read: open it with chmod")
        if error.errno == errno.EFBIG:
            return Rejected(uid, f"larger than max_mb {self.config.max_mb:g}")
        return Failed(uid, self._message(error))

    def finished(self, entries: Iterable[Entry]) -> dict[str, Done]:
        """Return, by uid, the rows of objects that an earlier run fetched and that are still whole.

        Where the source's files may change under their names nothing is reused, and the work folder is emptied.
        """
        if not self.source.is_permanent:
            shutil.rmtree(self.work / "objects", ignore_errors=True)
            return {}
        known = self._journal.known()
        found = {entry.uid: known[_key(entry)] for entry in entries if _key(entry) in known}
        folders = {entry.uid: self._folder(entry) for entry in entries if entry.uid in found}
        return {
            uid: row
            for uid, row in found.items()
            if isinstance(row, Done) and row.facts["bytes"] == _size(folders[uid]) <= self._max_bytes
        }

    def link_into(self, entries: Iterable[Entry], out: Path) -> None:
        """Link the finished files into `out/<2 hex of the uid's hash>/`."""
        for entry in entries:
            folder = self._folder(entry)
            for file in _files(folder):
                hard_link(file, out / folder_of(entry.uid) / file.relative_to(folder))

    @property
    def _max_bytes(self) -> int:
        return int(self.config.max_mb * 1e6)

    @property
    def _journal(self) -> Journal:
        return Journal(self.work / "journal.jsonl")

    def _folder(self, entry: Entry) -> Path:
        key = _key(entry)
        return self.work / "objects" / key[:2] / key

    def _message(self, error: OSError) -> str:
        return (error.strerror or str(error)).replace(self.hub_url.rstrip("/") + "/", "")


def validation_error(main: Path) -> str | None:
    """Return why a file cannot be an object: empty, a git-LFS pointer, a wrong GLB header; None when neither is so."""
    size = main.stat().st_size
    if size == 0:
        return "the file is empty"
    if is_lfs_pointer(main):
        return REMEDY
    return _glb_error(main, size) if main.suffix == ".glb" else None


def _glb_error(main: Path, size: int) -> str | None:
    try:
        version, length = gltf.read_header(main)
    except ValueError as error:
        return _link_as_text(main) or str(error)
    if version != 2:
        return f"GLB version {version}; only 2 can be read"
    if length != size:
        return f"GLB of {length} bytes according to its header, {size} in fact"
    return None


def _link_as_text(path: Path) -> str | None:
    """Return what is wrong with a file that holds nothing but a path: what git and archives make of links."""
    if path.stat().st_size > MAX_PATH:
        return None
    text = path.read_bytes().decode("utf-8", "replace")
    if not text.isprintable() or Path(text).suffix.lower() != path.suffix:
        return None
    return (
        f"the file is nothing but the text {text!r}: a link that was stored as text; make it a link, or put the file "
        "in its place"
    )


def _odd_name(folder: Path) -> str | None:
    """Return what is wrong with the name of a file that an object brings along."""
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if not is_text(name):
            return f"refers to {readable(name)}, a name that is not UTF-8: rename it, and in the files that refer to it"
    return None


def describe_files(main: Path, folder: Path, uid: str) -> dict[str, str | int]:
    """Return the ledger's facts of the object in `folder`: main file as laid out, SHA-256, size in bytes."""
    hashes = {file.relative_to(folder).as_posix(): sha256_of(file) for file in _files(folder)}
    listing = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items()))
    only = next(iter(hashes.values())) if len(hashes) == 1 else None
    return {
        "file": f"{folder_of(uid)}/{main.relative_to(folder).as_posix()}",
        "sha256": only or hashlib.sha256(listing.encode()).hexdigest(),
        "bytes": _size(folder),
    }


def _key(entry: Entry) -> str:
    return fingerprint(entry.uid, entry.location)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in _files(folder))
