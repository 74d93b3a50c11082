"""Reads a file without rendering it: its report, and its triangles."""

from pathlib import Path

import bpy
import numpy as np
import numpy.typing as npt

from render.axes import UpAxis
from render.blender.enclosure import measure_enclosure
from render.blender.gltf_object import POSE
from render.blender.meshes import Triangles, Vertices, mesh_instances, transformed, used_vertices
from render.blender.pose import is_flattened
from render.blender.scene import load, missing_textures, used_materials
from render.blender.wavefront import missing_libraries
from render.errors import Unrenderable
from render.placement import Placement, Point
from render.report import ObjectReport
from render.shape import Shape, describe_shape
from render.stdout import captured_stdout


def inspect(path: Path, up_axis: UpAxis | None = None) -> ObjectReport:
    """Report what Blender makes of a file of one of the kinds of render.formats.

    `up_axis` is the axis of the file that points up; None: the one that its format says.

    Raises Unrenderable when Blender cannot read the file, a vertex is not finite or a scale of 0 flattens all of it.
    Whether the object is good enough is for `render.report.check_usable` to decide.
    """
    with captured_stdout():
        load(path, up_axis)
        if is_flattened():
            raise Unrenderable("its nodes are at scale 0 along an axis: give them another scale in the file")
        found = list(mesh_instances())
        boxes = [bounds(used_vertices(vertices, faces)) for vertices, faces in found if len(faces)]
        minimum, maximum = bounds(np.concatenate(boxes)) if boxes else np.zeros((2, 3))
        materials = used_materials()
        return ObjectReport(
            minimum=as_point(minimum),
            maximum=as_point(maximum),
            num_faces=sum(len(faces) for _, faces in found),
            num_meshes=len(found),
            num_materials=len(materials),
            missing_textures=missing_textures(materials),
            missing_libraries=missing_libraries(),
            is_skinned=any(item.find_armature() is not None for item in bpy.data.objects),
            num_animations=len(bpy.data.actions),
            pose=bpy.context.scene.get(POSE, "as stored"),
            enclosure=measure_enclosure(),
            shape=describe_shape(found),
        )


def shape_of(path: Path) -> Shape | None:
    """Describe the shape of what Blender makes of a file (render.shape); None for a surface without area.

    Raises Unrenderable when Blender cannot read the file.
    """
    with captured_stdout():
        load(path)
        return describe_shape(mesh_instances())


def triangles(path: Path, placement: Placement) -> tuple[npt.NDArray[np.float32], Triangles]:
    """Return the placed object as one mesh: vertices (N, 3) in world space and faces (M, 3) that index them.

    Raises Unrenderable when Blender cannot read the file or it has no faces.
    """
    with captured_stdout():
        load(path, placement.up_axis)
        found = [(vertices, faces) for vertices, faces in mesh_instances() if len(faces)]
    if not found:
        raise Unrenderable("no faces: there is nothing to triangulate")
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in found[:-1]])
    vertices = transformed(np.concatenate([vertices for vertices, _ in found]), placement.world_from_object)
    faces = np.concatenate([faces + start for (_, faces), start in zip(found, starts, strict=True)])
    return vertices.astype(np.float32), faces.astype(np.int32)


def bounds(points: Vertices) -> npt.NDArray[np.float64]:
    """Return the lowest and highest coordinates (2, 3) of points (N, 3); NaN where a coordinate is NaN."""
    return np.stack([points.min(axis=0), points.max(axis=0)])


def as_point(values: npt.NDArray[np.float64]) -> Point:
    """Return a vector (3,) as plain floats."""
    x, y, z = (float(value) for value in values)
    return x, y, z
