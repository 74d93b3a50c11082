"""Names objects after their paths: short, unique, fit for files and tables, and the same wherever the folder lies.

A uid is a function of the object's own path, so that another object beside it does not change it; only where two paths
would get one uid do both of them get a longer one, or the one that comes later if the other has been named before, so
that a uid never passes to another object. docs/folders.md has the rule and its examples.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from tasks.artifacts.tables import MAX_UID

GENERIC = frozenset(
    {
        *("model", "mesh", "meshes", "scene", "source", "textured"),  # Sketchfab, GSO, YCB
        *("models", "model_normalized"),  # ShapeNet
        *("raw_model", "normalized_model"),  # 3D-FUTURE
        "model_raw",  # Pix3D
        "scan",  # OmniObject3D
        *(
            "google_16k",
            "google_64k",
            "google_512k",
            "poisson",
            "tsdf",
            "nontextured",
            "textured_simple",
        ),  # YCB, GraspNet
        *("visual_geometry", "collision_geometry"),  # Kubric's copies of GSO and ShapeNet
        "3d-asset",  # Digital Twin Catalog
        *("texturedmesh", "odm_texturing", "odm_textured_model", "odm_textured_model_geo"),  # Meshroom, OpenDroneMap
    }
)
"""Names that a data set or program gives to every object: Sketchfab's NAME/scene.gltf, GSO's NAME/meshes/model.obj and
ShapeNet's SYNSET/NAME/models/model_normalized.obj are NAME."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]+")
_MARK = 1 + 8
"""Length of the mark that a hash leaves at the end of a uid."""


def name_objects(
    paths: Iterable[str], *, taken: Collection[str] = (), known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return a uid for each path.

    Args:
        paths: Of main files, relative to the folder of objects, with `/`.
        taken: Uids that must not be given.
        known: Uids by path that were given before; they stay, and another path of the same name gives way.

    Returns the uids by path, in the order of the paths.
    """
    kept = known or {}
    waiting = {path: iter([kept[path]]) if path in kept else _candidates(path) for path in paths}
    uids = {path: next(candidates) for path, candidates in waiting.items()}
    while True:
        counts = Counter([*uids.values(), *taken])
        clashing = [path for path, uid in uids.items() if counts[uid] > 1]
        longer = {path: uid for path in clashing if (uid := next(waiting[path], None)) is not None}
        if not longer:
            assert not clashing, f"no unique uid for {clashing}"
            return uids
        uids |= longer


def plain_uid(name: str) -> str:
    """Return the uid of an object whose telling name is `name`, as long as no other object has that name.

    Characters other than ASCII letters, digits, `_` and `-` become `_`. A name that is too long, or that has letters,
    digits or pictures beyond the Latin script, so that little would be left of it, ends in a hash of itself.
    """
    composed = unicodedata.normalize("NFC", name)
    plain = _FORBIDDEN.sub("_", composed)
    if len(plain) <= MAX_UID and not any(map(_is_foreign, composed)) and plain.strip("_"):
        return plain
    return _marked(plain, composed)


def _candidates(path: str) -> Iterator[str]:
    """Yield the uids that the path may have, the shortest first."""
    name = telling_name(path)
    plain = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name))
    yield plain_uid(name)
    yield _marked(plain, unicodedata.normalize("NFC", path))
    yield _marked(plain, f"as stored: {path}")  # two spellings of one text, composed and decomposed


def telling_name(path: str) -> str:
    """Return the file's name without ending, or the nearest folder's where that says nothing."""
    parts = PurePosixPath(path)
    names = [parts.stem, *reversed(parts.parts[:-1])]
    return next((name for name in names if name.lower() not in GENERIC), parts.stem)


def _marked(plain: str, text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{plain[: MAX_UID - _MARK]}-{digest[: _MARK - 1]}"


def _is_foreign(character: str) -> bool:
    """Whether it carries meaning that no ASCII letter stands for: other scripts and emoji, not Latin accents."""
    if character.isascii():
        return False
    kind = unicodedata.category(character)
    return kind in ("So", "Cs") or (kind[0] in "LN" and not unicodedata.name(character, "").startswith("LATIN"))
