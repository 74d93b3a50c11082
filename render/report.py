"""What is known of an object before it is rendered, and whether the object is good enough."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from render.enclosure import Enclosure
from render.errors import Unrenderable
from render.named_files import shown_name
from render.placement import Point
from render.shape import Shape

Pose = Literal["as stored", "first frame", "rest"]
"""What poses an object: a file without animations; the beginning of its first animation; its nodes, because most of it
is at scale 0 as the animation begins."""


@dataclass(frozen=True)
class ObjectReport:
    """What Blender makes of a file: everything is counted as it would be rendered."""

    minimum: Point
    """Corner of the bounding box of all faces, in the file's units, Z up; not finite when a vertex is not."""
    maximum: Point
    num_faces: int
    """Triangles; those of a mesh that occurs several times count each time."""
    num_meshes: int
    """Occurrences of meshes, with or without faces."""
    num_materials: int
    missing_textures: tuple[str, ...]
    """Names of the textures that are absent or that Blender cannot decode."""
    missing_libraries: tuple[str, ...]
    """Names of the material libraries (MTL) that are absent and whose materials the object uses."""
    is_skinned: bool
    num_animations: int
    pose: Pose
    enclosure: Enclosure
    shape: Shape | None = field(compare=False)
    """By which copies of the object are recognised; None: the surface has no area."""


def check_usable(
    report: ObjectReport,
    *,
    max_faces: int,
    missing_texture: Literal["reject", "keep"],
    enclosed: Literal["reject", "keep"],
) -> None:
    """Raise Unrenderable when an object has nothing to show, is broken, is too heavy or shows what surrounds it.

    Args:
        report: What `render.blender.objects.inspect` found.
        max_faces: Triangles that an object may have.
        missing_texture: Whether an object with absent or unreadable textures, or without a material library, is
            rejected or kept.
        enclosed: Whether an object of which the views would show an inside or a shell is rejected or kept.
    """
    if report.num_meshes == 0:
        raise Unrenderable("no faces: the file holds no mesh, or hides all of them")
    if report.num_faces == 0:
        raise Unrenderable("no faces: the file holds only points or lines")
    if report.num_faces > max_faces:
        raise Unrenderable(f"{report.num_faces} faces; at most {max_faces} are allowed")
    if not np.isfinite([report.minimum, report.maximum]).all():
        raise Unrenderable("vertices are not finite")
    if report.missing_libraries and missing_texture == "reject":
        raise Unrenderable(f"{named('material library', 'material libraries', report.missing_libraries)} missing")
    if report.missing_textures and missing_texture == "reject":
        raise Unrenderable(
            f"{named('texture', 'textures', report.missing_textures)} missing or of a kind that Blender cannot read"
        )
    if enclosed == "reject":
        report.enclosure.check()


def named(one: str, several: str, names: tuple[str, ...]) -> str:
    """Return subject and verb of a sentence about files of a kind, naming at most three of them."""
    if len(names) == 1:
        return f"{one} '{shown_name(names[0])}' is"
    shown = ", ".join(f"'{shown_name(name)}'" for name in names[:3])
    return f"{len(names)} {several} ({shown}{', ...' if len(names) > 3 else ''}) are"
