"""Asks DVC's remote whether it has every file that its lists of folders name, and sends what is missing.

`dvc push` sends the list of a folder, an object whose name ends in .dir, after the files; where a push breaks off while
it sends a file of several folders, it sends the lists of the others all the same (dvc-data 3.18, hashfile/transfer.py:
`file_ids -= entry_ids`). Later pushes take what is on a list for sent.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.config import RemoteConfigError
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.transfer import find_tree_by_obj_id, transfer

from infra import dvc_folders
from infra.addresses import shown
from infra.storage.s3_remote import other_errors

DIR = ".dir"
HERE_NOTHING = "add one with `dvc remote add --default NAME ADDRESS`, or name one of those that `dvc remote list` shows"


@dataclass(frozen=True)
class RemoteCheck:
    """What a remote has of what its lists of folders name."""

    num_lists: int
    num_files: int
    """Different files that the lists name."""
    missing: Mapping[str, Collection[str]]
    """MD5s of the files that are named and not there, by the name of the list; lists that are whole are left out."""

    @property
    def num_missing(self) -> int:
        """Different files that are named and not there."""
        return len({md5 for files in self.missing.values() for md5 in files})


class DvcRemote:
    """A remote of a checkout, which keeps files by their MD5."""

    def __init__(self, root: Path, name: str | None = None) -> None:
        """Open the remote of that name, None: the default one.

        Raises ValueError when there is none, or when it keeps files by their names.
        """
        try:
            repo = Repo(str(root))
            self._remote = repo.cloud.get_remote_odb(name, "push")
        except RemoteConfigError as error:
            raise ValueError(f"{root} has no remote for `push` ({error}); {HERE_NOTHING}") from error
        except DvcException as error:
            raise ValueError(f"DVC cannot open {root} ({error}); run from the project's root") from error
        self._cache = repo.cache.local
        self.address = shown(self._remote.fs.unstrip_protocol(self._remote.path).removesuffix("/files/md5"))

    def check(self) -> RemoteCheck:
        """List the remote once, and read the lists of folders, from the cache where it has them.

        Raises ConnectionError when it does not answer, ValueError when it cannot be listed or a list cannot be read.
        """
        with self._errors():
            there = set(self._remote._list_oids())
            named: set[str] = set()
            missing = {}
            lists = sorted(oid for oid in there if oid.endswith(DIR))
            for oid in lists:
                files = self._files_of(oid)
                named |= files
                if not files <= there:
                    missing[oid] = files - there
        return RemoteCheck(len(lists), len(named), missing)

    def mend(self, broken: Mapping[str, Collection[str]]) -> dict[str, Collection[str]]:
        """Send the missing files of lists, as `check` returns them; return those that are not in the cache here.

        A list is removed from the remote before its files are sent, and comes back when all of them are there, so that
        it tells no untruth meanwhile. One whose files are not all here is left as it is.

        Raises ConnectionError when the remote does not take them.
        """
        lost: dict[str, Collection[str]] = {}
        for oid, files in broken.items():
            gone = {md5 for md5 in (oid, *files) if not self._cache.exists(md5)}
            if gone:
                lost[oid] = gone
                continue
            with self._errors():
                self._remote.delete(oid)
                # one list at a time: with several, DVC takes the files of one for sent with another
                failed = transfer(self._cache, self._remote, {HashInfo("md5", oid)}, shallow=False).failed
            if failed:
                raise ConnectionError(f"{self.address} did not take {len(failed)} files; give the same command again")
        return lost

    def _files_of(self, oid: str) -> set[str]:
        tree = find_tree_by_obj_id([self._cache, self._remote], HashInfo("md5", oid))
        if tree is None:
            raise ValueError(
                f"{self.address} has a damaged list of a folder, {oid}; remove {self._remote.oid_to_path(oid)} there "
                "and push again from a checkout that has the folder"
            )
        return {str(info.value) for _, _, info in tree}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Name the remote in what it answers."""
        try:
            with other_errors():
                yield
        except NotImplementedError as error:
            raise ValueError(f"{self.address} cannot be listed, so nothing is known of what it has") from error
        except OSError as error:
            raise ConnectionError(f"{self.address} does not answer as it should: {error}") from error


def push_command(remote: str | None) -> list[str]:
    """The command line that sends to a remote (None: the default one) what dvc.lock names."""
    words: list[Any] = ["--remote", remote] if remote else []
    return [*dvc_folders.COMMAND, "--wait-for-lock", "push", *words]
