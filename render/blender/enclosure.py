"""Measures whether an object shows itself or the surface around it: sky domes, rooms, faces turned inside out."""

from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Vector
from scipy.spatial import ConvexHull, QhullError

from render.blender.gltf_import import SEE_THROUGH
from render.blender.meshes import Vertices, faces_of, posed_meshes, read_attribute, vertices_of
from render.blender.parts import Part, all_parts, flag, without_specks
from render.blender.sidedness import FRONT_ONLY, LINING
from render.enclosure import Enclosure
from render.orientation import area_vectors, orientation_of

GRID = 16
"""Rays along each side of a view."""
AZIMUTHS, ELEVATIONS = np.radians([(a, e) for e in (-30.0, 10.0, 50.0) for a in range(15, 360, 60)]).T
DIRECTIONS = np.stack(
    [np.cos(ELEVATIONS) * np.cos(AZIMUTHS), np.cos(ELEVATIONS) * np.sin(AZIMUTHS), np.sin(ELEVATIONS)], axis=1
)
"""Unit vectors (D, 3) to where rays come from; off the axes, along which edges of boxes would lie."""
NEAR, FAR = 0.02, 0.15
"""Shares of the size: how far behind the back of a surface that looks inwards such a front counts as an inside, and how
far behind it any surface does; an outline is nearer to its object."""
DEEP, AROUND = 0.02, 0.95
"""Shares of the size: how far below a shell lies what does not belong to it, as the backs of doors do; how much of the
box, in each axis, a shell fills."""
CONVEX = 0.6
"""Share of its convex hull's volume that a dome encloses, half a ball without floor included."""
SAMPLES = 128
"""Faces of which it is asked whether they can be seen."""
LAYERS = 32
"""Surfaces that a ray passes."""


def measure_enclosure() -> Enclosure:
    """Measure the loaded object as posed; parts of a glTF file count as culled by `cull_back_faces`."""
    parts = [part for part in all_parts() if len(part.faces)]
    if not parts:
        return Enclosure(0.0, 0.0, "", 0.0)
    corners = np.concatenate([part.vertices[part.faces.ravel()] for part in parts])
    low, high = corners.min(axis=0), corners.max(axis=0)
    if not np.isfinite([low, high]).all():
        return Enclosure(0.0, 0.0, "", 0.0)
    size = float(np.linalg.norm(high - low))
    parts = [part for part in (without_specks(part, size) for part in parts) if len(part.faces)]
    inside = inside_share(low, high) if any(flag(part.material, LINING) for part in parts) else 0.0
    hidden, shell = hidden_share(parts, low, high)
    return Enclosure(inside, hidden, shell, backward_share())


def inside_share(low: Vertices, high: Vertices) -> float:
    """Return the share of what is seen of a box from all around that is the inside of a surface that looks inwards.

    That is what a ray meets well behind the back of such a surface, through which it came in.
    """
    size = float(np.linalg.norm(high - low))
    seen = inside = 0
    for toward in DIRECTIONS:
        right = np.cross([0.0, 0.0, 1.0], toward) / np.linalg.norm(toward[:2])
        up = np.cross(toward, right)
        places = (np.arange(GRID) + 0.5) / GRID - 0.5
        for across, along in ((x, y) for x in places for y in places):
            start = (low + high) / 2 + size * (toward + across * right + along * up)
            met = cast(start, -toward, size)
            seen += met is not None
            inside += met is not None and met[0] > (NEAR if met[1] else FAR) * size
    return inside / max(seen, 1)


def cast(start: Vertices, along: Vertices, size: float) -> tuple[float, bool] | None:
    """Follow a ray to the first surface that is seen.

    Returns how far that lies behind the first back of a surface that looks inwards (0 where the ray passed none), and
    whether it looks inwards itself; None where the ray meets nothing.
    """
    behind = 0.0
    has_entered = False
    for _ in range(LAYERS):
        hit, place, normal, material = next_surface(start, along)
        if not hit:
            return None
        behind += float(np.linalg.norm(place - start)) if has_entered else 0.0
        is_back = flag(material, FRONT_ONLY) and float(normal @ along) > 0
        has_entered = has_entered or (is_back and flag(material, LINING))
        if not is_back and not flag(material, SEE_THROUGH):
            return behind, flag(material, LINING)
        start = place + 1e-5 * size * along
    return None


def next_surface(start: Vertices, along: Vertices) -> tuple[bool, Vertices, Vertices, Any]:
    """Return whether a ray hits a surface, where, its normal and its material."""
    graph = bpy.context.evaluated_depsgraph_get()
    hit, place, normal, face, item, _ = bpy.context.scene.ray_cast(graph, Vector(start), Vector(along))
    if not hit:
        return False, start, along, None
    mesh = item.evaluated_get(graph).data
    slot = mesh.polygons[face].material_index
    material = mesh.materials[slot] if slot < len(mesh.materials) else None
    return True, np.array(place), np.array(normal), material


def hidden_share(parts: list[Part], low: Vertices, high: Vertices) -> tuple[float, str]:
    """Return the share of the faces that one part hides by surrounding everything, and that part's name."""
    size = float(np.linalg.norm(high - low))
    for index, shell in enumerate(parts):
        if len(parts) > 1 and surrounds(shell, low, high):
            planes = planes_of(shell)
            others = samples([part for place, part in enumerate(parts) if place != index])
            hidden = [depth(planes, face[0]) > DEEP * size and not is_seen(*face, size) for face in others]
            return float(np.mean(hidden)), str(shell.name)
    return 0.0, ""


def surrounds(part: Part, low: Vertices, high: Vertices) -> bool:
    """Tell whether a part is a convex shell around everything that one cannot see through."""
    corners = part.vertices[np.unique(part.faces)]
    if flag(part.material, SEE_THROUGH) or (np.ptp(corners, axis=0) < AROUND * (high - low)).any():
        return False
    try:
        hull = ConvexHull(corners)
    except QhullError:  # flat
        return False
    return abs(orientation_of(part.vertices, part.faces).volume) > CONVEX * float(hull.volume)


def planes_of(part: Part) -> tuple[Vertices, Vertices, npt.NDArray[np.float64]]:
    """Return a point (M, 3), a normal (M, 3) and its length (M,) for the plane of each face that has an area."""
    corners = part.vertices[part.faces]
    crosses = area_vectors(corners)
    lengths = np.linalg.norm(crosses, axis=1)
    has_area = lengths > 0
    return corners[has_area, 0], crosses[has_area], lengths[has_area]


def depth(planes: tuple[Vertices, Vertices, npt.NDArray[np.float64]], point: Vertices) -> float:
    """Return the distance of a point from the faces of a convex shell, whose `planes_of` are given."""
    places, normals, lengths = planes
    return float((np.abs(np.einsum("mi,mi->m", point - places, normals)) / lengths).min(initial=np.inf))


def samples(parts: list[Part]) -> Iterator[tuple[Vertices, Vertices, bool]]:
    """Yield centre, normal and whether both sides are shown, of up to SAMPLES faces, evenly out of all."""
    counts = np.cumsum([0] + [len(part.faces) for part in parts])
    for index in np.unique(np.linspace(0, counts[-1] - 1, SAMPLES).astype(int)):
        place = int(np.searchsorted(counts, index, side="right")) - 1
        corners = parts[place].vertices[parts[place].faces[index - counts[place]]]
        yield corners.mean(axis=0), area_vectors(corners[None])[0], not flag(parts[place].material, FRONT_ONLY)


def is_seen(centre: Vertices, normal: Vertices, both_sides: bool, size: float) -> bool:
    """Tell whether the middle of a face can be seen from any of the directions."""
    return any(
        (both_sides or float(normal @ toward) > 0) and is_free(centre + 1e-4 * size * toward, toward, size)
        for toward in DIRECTIONS
    )


def is_free(start: Vertices, toward: Vertices, size: float) -> bool:
    """Tell whether nothing that is seen from outside stands in a ray's way out."""
    for _ in range(LAYERS):
        hit, place, normal, material = next_surface(start, toward)
        if not hit:
            return True
        shows_its_back = flag(material, FRONT_ONLY) and float(normal @ toward) < 0
        if not shows_its_back and not flag(material, SEE_THROUGH):
            return False
        start = place + 1e-5 * size * toward
    return False


def backward_share() -> float:
    """Return the share of the surface that is wound against the normals of its corners; it would be black."""
    area = backward = 0.0
    for mesh, matrix in posed_meshes():
        if not mesh.has_custom_normals:
            continue
        corners = vertices_of(mesh)[faces_of(mesh)]
        crosses = area_vectors(corners)
        loops = read_attribute(mesh.loop_triangles, "loops", np.int32, 3)
        normals = read_attribute(mesh.corner_normals, "vector", np.float32, 3)[loops].sum(axis=1)
        areas = np.linalg.norm(crosses, axis=1) * abs(np.linalg.det(matrix[:3, :3])) ** (2 / 3)
        area += float(areas.sum())
        backward += float(areas[np.einsum("mi,mi->m", crosses, normals) < 0].sum())
    return backward / area if area else 0.0
