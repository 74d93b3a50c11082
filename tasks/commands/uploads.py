"""Photos that come over a page or an HTTP request: what is taken, and a sentence for each that is not."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.data.grabcut import Box
from tasks.commands.cut_outs import CutOut, Matting, cut_out

MB = 1e6


@dataclass(frozen=True)
class UploadLimits:
    """What is taken from somebody whom nobody knows; a command on this machine takes more."""

    photos: int = 10
    """Photos of one object, at most."""
    megabytes: float = 25.0
    """Of one file."""
    megapixels: float = 64.0
    """Of one picture; phones have 12 to 50."""


@dataclass(frozen=True)
class Upload:
    """A file that came."""

    name: str
    """As its owner calls it."""
    path: Path
    mask: "Upload | None" = None
    """White, or opaque, is the object; None: `Matting` finds it."""
    box: Box | None = None
    """Around the object, in pixels of the upright photo, for GrabCut; a mask goes first."""


@dataclass(frozen=True)
class Photos:
    """What came of some uploads."""

    cut_outs: list[CutOut] = field(default_factory=list)
    """Of the photos that can be used, each once, in their order."""
    faults: list[str] = field(default_factory=list)
    """A sentence for each file that cannot be used."""
    notes: list[str] = field(default_factory=list)
    """A sentence about what was left out without harm."""
    unusable: list[str] = field(default_factory=list)
    """Names of the photos that the faults are about."""


def named_apart(uploads: Sequence[Upload]) -> list[Upload]:
    """Number those that are called like an earlier one, as "front (2).jpg", so that a sentence says which it means."""
    apart: list[Upload] = []
    for upload in uploads:
        name, number, taken = upload.name, 1, {one.name for one in apart}
        while name in taken:
            number += 1
            name = f"{Path(upload.name).stem} ({number}){Path(upload.name).suffix}"
        apart.append(replace(upload, name=name))
    return apart


def read_uploads(uploads: Sequence[Upload], limits: UploadLimits, matting: Matting | None = None) -> Photos:
    """Cut the object out of every photo. Nothing is raised for a bad file: the others go on.

    Args:
        uploads: Photos of one object; of equal pictures the first is used.
        limits: What is taken.
        matting: How objects are found; by default by alpha, else before a plain background.
    """
    if len(uploads) > limits.photos:
        return Photos(
            faults=[
                f"{len(uploads)} photos were given; at most {limits.photos} are taken: leave "
                f"{len(uploads) - limits.photos} out"
            ]
        )
    matting = replace(matting or Matting(), max_megapixels=limits.megapixels)
    photos, seen, copies = Photos(), dict[str, str](), dict[str, list[str]]()
    for upload in uploads:
        try:
            cut = _cut_out(upload, limits, matting, seen)
        except ValueError as error:
            photos.faults.append(str(error))
            photos.unusable.append(upload.name)
            continue
        if isinstance(cut, CutOut):
            photos.cut_outs.append(cut)
        else:
            copies.setdefault(cut, []).append(upload.name)
    for first, names in copies.items():
        shown = f"{names[0]} shows" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} show"
        photos.notes.append(
            f"{shown} the same picture as {first}, which is used once: photos from other sides add more"
        )
    return photos


def _cut_out(upload: Upload, limits: UploadLimits, matting: Matting, seen: dict[str, str]) -> CutOut | str:
    """Cut the object out, or return the name of an earlier photo, noted in `seen`, that shows the same picture.

    Raises ValueError with a sentence that names the file as its owner does.
    """
    for file_of in filter(None, (upload, upload.mask)):
        size = file_of.path.stat().st_size
        if size > limits.megabytes * MB:
            raise ValueError(
                f"{file_of.name} has {size / MB:.0f} MB; at most {limits.megabytes:g} are taken: save it smaller"
            )
    with upload.path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    if content in seen:
        return seen[content]
    matting = replace(matting, reads_alpha=matting.reads_alpha and upload.box is None)
    mask = upload.mask.path if upload.mask else None
    try:
        cut = replace(cut_out(upload.path, matting, mask=mask, box=upload.box), name=upload.name)
    except ValueError as error:
        sentence = str(error).replace(str(upload.path), upload.name)
        if upload.mask:
            sentence = sentence.replace(str(upload.mask.path), upload.mask.name)
        raise ValueError(sentence) from error
    seen[content] = upload.name
    return cut if (first := seen.setdefault(cut.fingerprint, upload.name)) == upload.name else first
