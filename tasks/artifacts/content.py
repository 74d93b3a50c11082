"""Hashes of what a stage reads, and the work keys made of them: unfinished work of other inputs is never taken up."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from tasks.artifacts.manifest import fingerprint
from tasks.ports import Tools


def work_key(*recipe: BaseModel | Mapping[str, object] | str | int, reads: Mapping[str, Path], tools: Tools) -> str:
    """Name the folder for a stage's unfinished work, after everything that decides what the stage makes.

    Args:
        recipe: The configuration, as far as it decides the result, the seed and whatever else the stage makes it with.
        reads: Folders that the stage reads, by the part that each plays. Their content counts, not only the recipe
            they were made by: another processor or library version gives other weights for the same recipe.
        tools: Of the stage; they may know the hashes of its inputs.
    """
    return fingerprint(*recipe, {part: content_of(path, tools) for part, path in reads.items()})


def content_of(path: Path, tools: Tools) -> str:
    """Return a hash of the bytes of a file or of all files of a folder; one that is known already is not computed."""
    known = tools.input_hashes.get(path.as_posix())
    return hash_files(path) if known is None else known


def hash_files(path: Path) -> str:
    """Return the SHA-256 of a file, or of the list of a folder's files with their hashes and relative names."""
    if path.is_file():
        return sha256_of(path)
    hashes = {file.relative_to(path).as_posix(): sha256_of(file) for file in path.rglob("*") if file.is_file()}
    listing = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
