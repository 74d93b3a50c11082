"""Which files the weights of a logged model are, by their content, and how they are brought from where they lie.

A model of a stage is an output of DVC, which stores it once. What MLflow is given of it is this list: names, sizes and
hashes, MD5 being what DVC's cache and remotes name their files by.
"""

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, Self

import psutil

LIST, FOLDER = "weights.json", "weights"
"""In the folder of a logged model: the list, and the files themselves where they are kept there."""
KINDS = (".safetensors", ".json", ".jsonl", ".md", ".py", ".txt", ".yaml", ".csv", ".png")
"""Files that a model may consist of. None of them is executed or unpickled when it is loaded."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz")
READ_BYTES = 1 << 20


class Fetch(Protocol):
    """Downloads a file; `infra.storage.store.RemoteStore.fetch` does."""

    def __call__(self, url: str, target: Path) -> None:
        """Download `url` to `target`, whole or not at all; raises OSError."""
        ...


@dataclass(frozen=True)
class WeightFile:
    """One file of a model."""

    name: str
    """Relative to the model's folder, with "/"."""
    size: int
    """Bytes."""
    md5: str
    sha256: str

    def check_name(self) -> None:
        """Raise ValueError for a name that leads out of the model's folder, or for a file that may hold a pickle."""
        path = PurePosixPath(self.name)
        if path.is_absolute() or ".." in path.parts or "\\" in self.name or not path.name:
            raise ValueError(f"the file {self.name!r} would lie outside of the model's folder")
        if path.suffix not in KINDS:
            why = "which may run code when it is loaded" if path.suffix in PICKLES else "of a kind that no model has"
            raise ValueError(f"it has the file {self.name!r}, {why}; weights are read as safetensors alone")


@dataclass(frozen=True)
class WeightList:
    """All files of a model, and where files lie by their MD5."""

    files: tuple[WeightFile, ...]
    places: tuple[str, ...] = ()
    """Folders and addresses (http(s)://, s3://) with files `ab/cdef...` by MD5: DVC's cache and its default remote."""

    @classmethod
    def of(cls, folder: Path, places: Sequence[str] = (), leave_out: Sequence[str] = ()) -> Self:
        """List a model's folder; files and folders whose names are in `leave_out` are no part of the model."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [path.relative_to(folder) for path in paths]
        kept = [name for name in names if not set(name.parts) & set(leave_out)]
        return cls(tuple(_describe(folder / name, name.as_posix()) for name in kept), tuple(places))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote. Raises ValueError for anything else, and where `check_name` does."""
        try:
            content = json.loads(path.read_bytes())
            files = tuple(WeightFile(**row) for row in content["files"])
            places = tuple(str(place) for place in content["places"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"its {LIST} is broken ({error})") from error
        for file in files:
            file.check_name()
        return cls(files, places)

    def write(self, path: Path) -> None:
        """Write the list as JSON."""
        content = {"files": [asdict(file) for file in self.files], "places": list(self.places)}
        path.write_text(json.dumps(content, indent=1) + "\n")

    @property
    def digest(self) -> str:
        """SHA-256 of the names and hashes of all files: what the model is, wherever it lies."""
        listing = "".join(f"{file.sha256}  {file.name}\n" for file in sorted(self.files, key=lambda file: file.name))
        return hashlib.sha256(listing.encode()).hexdigest()

    @property
    def num_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def fetch(self, target: Path, folders: Sequence[Path], fetch: Fetch, places: Sequence[str] = ()) -> None:
        """Make the model's folder, whole or not at all; a file is taken when its SHA-256 is the listed one.

        On one file system no byte is copied: the files are hard links, and nobody may write into them.

        Args:
            target: The folder to make; where it is there already, nothing is done.
            folders: Folders that may have the model, under its own names; asked first.
            fetch: Downloads from places that are addresses.
            places: Asked before the list's own.

        Raises ValueError, naming the file and where it was looked for, when one is nowhere; OSError for a full disk.
        """
        if target.exists():
            return
        part = _own_part(target)
        try:
            for file in self.files:
                self._bring(file, part / file.name, folders, fetch, places)
            with suppress(OSError):  # another process was faster, and made the same
                part.rename(target)
            assert target.exists()
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _bring(
        self, file: WeightFile, target: Path, folders: Sequence[Path], fetch: Fetch, places: Sequence[str]
    ) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        tried = []
        for source in self._sources(file, folders, places):
            tried.append(source)
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError, ConnectionError):
                if "://" in source:
                    fetch(source, target)
                else:
                    _link(Path(source), target)
                if target.stat().st_size == file.size and _hash(target, "sha256") == file.sha256:
                    return
            target.unlink(missing_ok=True)
        raise ValueError(
            f"its file {file.name} with SHA-256 {file.sha256[:12]}... is not at {', '.join(tried) or 'any place'}; "
            "bring it back with `dvc pull`, or register the model where it still is"
        )

    def _sources(self, file: WeightFile, folders: Sequence[Path], places: Sequence[str]) -> Iterator[str]:
        yield from (str(folder / file.name) for folder in folders)
        for place in dict.fromkeys((*places, *self.places)):
            yield f"{place.rstrip('/')}/{file.md5[:2]}/{file.md5[2:]}"


def _own_part(target: Path) -> Path:
    """Return where this process makes `target`; what killed processes of this machine have left there is removed."""
    start = f".{target.name}.{socket.gethostname()}-"
    for left in target.parent.glob(f"{start}*.part"):
        number = left.name.removeprefix(start).removesuffix(".part")
        if not number.isdecimal() or int(number) == os.getpid() or not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    return target.with_name(f"{start}{os.getpid()}.part")


def _describe(path: Path, name: str) -> WeightFile:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(READ_BYTES):
            md5.update(part)
            sha256.update(part)
    return WeightFile(name, path.stat().st_size, md5.hexdigest(), sha256.hexdigest())


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _link(source: Path, target: Path) -> None:
    """Put a file at `target` without a second copy where the file system allows it."""
    try:
        os.link(source.resolve(), target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
