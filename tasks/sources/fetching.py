"""Fetches objects from a source into the work folder, validates them and keeps a journal. Knows no stage."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from render.errors import Unrenderable
from tasks.artifacts.atomic import hard_link
from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import fingerprint
from tasks.artifacts.resume import Journal
from tasks.artifacts.tables import Entry, folder_of
from tasks.config import DownloadConfig
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.sources.fetched import Fetched, FetchKind
from tasks.sources.source import FileSource
from tasks.sources.validation import Defect, find_defect
from tasks.sources.walk import is_text, readable

REJECTED = "rejected.jsonl"
"""Journal of the objects that a server has rejected for good; without it they are asked for again."""


@dataclass(frozen=True)
class Fetcher:
    """Fetches objects of `source` into folders of `work`, one for each uid and location. Threads may share it."""

    source: FileSource
    config: DownloadConfig
    work: Path
    hub_url: str
    """Address that is cut out of error messages: the ledger does not depend on where an object came from."""

    def fetch(self, entry: Entry) -> Fetched:
        """Fetch and validate one object.

        Raises ConnectionError when the server does not answer, or stays busy (EBUSY), and OSError(ENOSPC) when the
        disk is full: these are no fault of the object.
        """
        folder = self.folder(entry)
        try:
            main, defect = self._fetch_whole(entry, folder)
        except ConnectionError as error:
            said = self._message(error)
            raise (ConnectionError(error.errno, said) if error.errno else ConnectionError(said)) from error
        except Unrenderable as fault:
            return self._decided(entry, FetchKind.DAMAGED, Rejected(entry.uid, str(fault)))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            return self._decided(entry, *self._verdict(entry.uid, error))
        if defect is None:
            return self._decided(entry, FetchKind.DONE, Done(entry.uid, describe_files(main, folder, entry.uid)))
        shutil.rmtree(folder)
        kind = Failed if defect.is_of_the_server else Rejected
        return self._decided(entry, FetchKind.DAMAGED, kind(entry.uid, defect.reason))

    def _fetch_whole(self, entry: Entry, folder: Path) -> tuple[Path, Defect | None]:
        """Fetch an object; a damaged one twice, since the server may have sent something else in its place.

        What is damaged in the same way both times is so at its source, unless the first look tells otherwise.
        """
        main = self.source.fetch(entry, folder, max_bytes=self._max_bytes)
        defect = _find_defect(main, folder, entry)
        if defect is None:
            return main, None
        if not self.source.is_permanent:
            return main, Defect(defect.reason)
        before = sha256_of(main)
        shutil.rmtree(folder)
        main = self.source.fetch(entry, folder, max_bytes=self._max_bytes)
        defect = _find_defect(main, folder, entry)
        if defect is not None and sha256_of(main) != before:
            return main, Defect(f"{defect.reason}; the server sent other bytes before", is_of_the_server=True)
        return main, defect

    def _verdict(self, uid: str, error: OSError) -> tuple[FetchKind, Outcome]:
        """Return what an error says of the object: that it is not there, not open or too large, or nothing."""
        if isinstance(error, FileNotFoundError):
            return FetchKind.MISSING, Rejected(uid, self._message(error))
        if isinstance(error, PermissionError) and error.errno is None:  # a server's answer, which a token may change
            return FetchKind.NOT_ALLOWED, Failed(uid, self._message(error))
        if isinstance(error, PermissionError):
            name = Path(error.filename or "a file").name
            return FetchKind.NOT_ALLOWED, Rejected(uid, f"{name} may not be read: open it with chmod")
        if error.errno == errno.EFBIG:
            return FetchKind.TOO_LARGE, Rejected(uid, f"larger than max_mb {self.config.max_mb:g}")
        return FetchKind.SERVER_ERROR, Failed(uid, self._message(error))

    def _decided(self, entry: Entry, kind: FetchKind, outcome: Outcome) -> Fetched:
        """Remember what need not be asked for again."""
        if self.source.is_permanent and isinstance(outcome, Done):
            self._journal.append(_key(entry), outcome)
        elif self.source.is_permanent and isinstance(outcome, Rejected):
            self._rejected.append(self._rejection_key(entry), outcome)
        return Fetched(outcome, kind)

    def finished(self, entries: Iterable[Entry]) -> dict[str, Outcome]:
        """Return, by uid, the rows of objects that an earlier run decided: fetched and still whole, or rejected.

        Where the source's files may change under their names nothing is reused, and the work folder is emptied.
        """
        if not self.source.is_permanent:
            shutil.rmtree(self.work / "objects", ignore_errors=True)
            return {}
        known, rejected = self._journal.known(), self._rejected.known()
        found: dict[str, Outcome] = {}
        for entry in entries:
            row = known.get(_key(entry))
            if isinstance(row, Done) and row.facts["bytes"] == _size(_files(self.folder(entry))) <= self._max_bytes:
                found[entry.uid] = row
            elif (said := rejected.get(self._rejection_key(entry))) is not None:
                found[entry.uid] = said
        return found

    def folder(self, entry: Entry) -> Path:
        """Return the folder of an object's files."""
        key = _key(entry)
        return self.work / "objects" / key[:2] / key

    @property
    def rejected_path(self) -> Path:
        """The journal of rejected objects."""
        return self._rejected.path

    def forget_rejected(self) -> None:
        """Ask for rejected objects again the next time."""
        self._rejected.path.unlink(missing_ok=True)

    def link_into(self, entries: Iterable[Entry], out: Path) -> None:
        """Link the finished files into `out/<2 hex of the uid's hash>/`."""
        for entry in entries:
            folder = self.folder(entry)
            for file in _files(folder):
                hard_link(file, out / folder_of(entry.uid) / file.relative_to(folder))

    @property
    def _max_bytes(self) -> int:
        return int(self.config.max_mb * 1e6)

    @cached_property
    def _journal(self) -> Journal:
        return Journal(self.work / "journal.jsonl")

    @cached_property
    def _rejected(self) -> Journal:
        return Journal(self.work / REJECTED)

    def _rejection_key(self, entry: Entry) -> str:
        """A rejection holds for one server and one limit."""
        return fingerprint(entry.uid, entry.location, self.hub_url, self._max_bytes)

    def _message(self, error: OSError) -> str:
        return (error.strerror or str(error)).replace(self.hub_url.rstrip("/") + "/", "")


def _find_defect(main: Path, folder: Path, entry: Entry) -> Defect | None:
    odd = _odd_name(folder)
    return Defect(odd) if odd else find_defect(main) or _other_content(main, entry)


def _other_content(main: Path, entry: Entry) -> Defect | None:
    """Return that an object is not the one of which its source's index has the hash."""
    if entry.sha256 is None or (found := sha256_of(main)) == entry.sha256:
        return None
    return Defect(f"its SHA-256 is {found[:16]}..., the index says {entry.sha256[:16]}...: it is another file by now")


def _odd_name(folder: Path) -> str | None:
    """Return what is wrong with the name of a file that an object brings along."""
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if not is_text(name):
            return f"refers to {readable(name)}, a name that is not UTF-8: rename it, and in the files that refer to it"
    return None


def describe_files(main: Path, folder: Path, uid: str) -> dict[str, str | int]:
    """Return the ledger's facts of the object in `folder`: main file as laid out, SHA-256, size in bytes."""
    files = _files(folder)
    hashes = {file.relative_to(folder).as_posix(): sha256_of(file) for file in files}
    listing = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items()))
    only = next(iter(hashes.values())) if len(hashes) == 1 else None
    return {
        "file": f"{folder_of(uid)}/{main.relative_to(folder).as_posix()}",
        "sha256": only or hashlib.sha256(listing.encode()).hexdigest(),
        "bytes": _size(files),
    }


def _key(entry: Entry) -> str:
    return fingerprint(entry.uid, entry.location)


def _files(folder: Path) -> list[Path]:
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)  # rglob takes twice as long
    return sorted(path for path in paths if path.is_file())


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)
