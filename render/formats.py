"""The kinds of files that objects come in, in one table."""

from dataclasses import dataclass
from pathlib import Path, PurePath

from render.axes import UpAxis
from render.errors import Unrenderable


@dataclass(frozen=True)
class Format:
    """A kind of file that an object can come in; docs/rendering.md says what becomes of its content."""

    name: str
    up_axis: UpAxis | None
    """Axis of the file that the importer turns up, by the format's standard or by custom; None: each file says it."""


FORMATS = {
    ".glb": Format("glTF", "Y"),
    ".gltf": Format("glTF", "Y"),
    ".obj": Format("OBJ", "Y"),
    ".ply": Format("PLY", "Z"),
    ".stl": Format("STL", "Z"),
    ".fbx": Format("FBX", None),
    ".usd": Format("USD", None),
    ".usda": Format("USD", None),
    ".usdc": Format("USD", None),
    ".usdz": Format("USD", None),
    ".dae": Format("Collada", None),
    ".blend": Format("Blender", "Z"),
    ".zip": Format("archive of one object", None),
}
IMAGE_SUFFIXES = frozenset(
    f".{kind}" for kind in ["png", "jpg", "jpeg", "tga", "tif", "tiff", "bmp", "exr", "hdr", "webp", "psd", "dds"]
)
"""Endings of textures, in lower case."""
OBJECT_SUFFIXES = tuple(FORMATS)
"""Endings of the files that can be an object, in lower case."""

UNREAD_SUFFIXES = frozenset(
    f".{kind}"
    for kind in [
        *[
            "3dm",
            "3ds",
            "3mf",
            "abc",
            "amf",
            "ase",
            "b3d",
            "c4d",
            "ctm",
            "drc",
            "dwg",
            "dxf",
            "iges",
            "igs",
            "jt",
            "lwo",
        ],
        *["ma", "max", "mb", "md2", "md3", "ms3d", "off", "pcd", "pmd", "pmx", "skp", "sldprt", "splat", "spz", "step"],
        *["stp", "vox", "vrm", "vrml", "wrl", "x3d", "xyz", "ztl"],
    ]
)
"""Endings of 3D files that nothing here reads, in lower case."""


def rank_of(path: PurePath) -> int:
    """Return the place of a file's format in the table; of several files of one object the first is used."""
    return OBJECT_SUFFIXES.index(path.suffix.lower())


def format_of(path: Path) -> Format:
    """Return the format of a file by its ending.

    Raises Unrenderable when there is no such format.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise Unrenderable(unread(path))
    return FORMATS[kind]


def unread(path: PurePath) -> str:
    """Return the reason why a file is rejected that has none of these formats, with the remedy."""
    return f"of a kind that is not read, {path.suffix.lower() or 'without an ending'}: convert it to GLB, glTF or OBJ"
