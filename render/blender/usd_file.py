"""What a USD file says of itself and needs, by the USD library that Blender brings along. Does not load Blender."""

import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from render.axes import UpAxis
from render.errors import Unrenderable
from render.named_files import leads_to_file, shown_name
from render.obj.lookup import last_part

LOST_LAYER = re.compile(r"Could not (?:open asset|load sublayer) @([^@]+)@")
"""What the USD library says of a layer that is missing or that it cannot read; of layers of other variants, nothing."""


def stage_up_axis(path: Path) -> UpAxis:
    """Return the up axis of a USD file, Y or Z.

    Raises Unrenderable when it cannot be read.
    """
    return "Z" if usd("UsdGeom").GetStageUpAxis(open_stage(path)) == "Z" else "Y"


def check_usd(path: Path) -> None:
    """Raise Unrenderable when a layer of a USD file is missing or unreadable, or a mesh is damaged.

    Blender's importer leaves out what it lacks without a word, or crashes.
    """
    stage = open_stage(path)
    faults = (LOST_LAYER.match(str(error)) for error in stage.GetCompositionErrors())
    if lost := next(filter(None, faults), None):
        is_there = leads_to_file(Path(lost[1]))
        fault = "cannot be read: export it as USD" if is_there else "is missing: put it where the file names it"
        raise Unrenderable(f"refers to '{shown_name(last_part(lost[1]))}', which {fault}")
    check_meshes(stage)


def check_meshes(stage: Any) -> None:
    """Raise Unrenderable when a mesh of a USD stage names points that it does not have, or some that are not finite."""
    core, geometry = usd("Usd"), usd("UsdGeom")
    earliest = core.TimeCode.EarliestTime()
    roots = [stage.GetPseudoRoot(), *stage.GetPrototypes()]
    for prim in (prim for root in roots for prim in core.PrimRange(root) if prim.IsA(geometry.Mesh)):
        mesh = geometry.Mesh(prim)
        attributes = (mesh.GetFaceVertexIndicesAttr(), mesh.GetFaceVertexCountsAttr(), mesh.GetPointsAttr())
        indices, counts, points = (attribute.Get(earliest) for attribute in attributes)
        if not indices or not counts or not points:
            continue
        is_valid, reason = mesh.ValidateTopology(indices, counts, len(points))
        if not is_valid:
            raise Unrenderable(f"the mesh '{prim.GetName()}' is damaged ({reason.rstrip('.')}): export it again")
        if not np.isfinite(np.asarray(points)[np.asarray(indices)]).all():
            raise Unrenderable("vertices are not finite")


def open_stage(path: Path) -> Any:
    """Return the stage of a USD file; raises Unrenderable when it cannot be read."""
    try:
        return usd("Usd").Stage.Open(str(path))
    except usd("Tf").ErrorException as error:
        raise Unrenderable("the file is no USD file that can be read: export it again") from error


def needed_files(path: Path) -> list[Path]:
    """Return the files that a USD file refers to, directly or through others, and that exist; none for USDZ."""
    try:
        layers, assets, _ = usd("UsdUtils").ComputeAllDependencies(str(path))
    except usd("Tf").ErrorException:  # the renderer says what is wrong with it
        return []
    files = [*(Path(layer.realPath) for layer in layers), *(Path(asset) for asset in assets)]
    return [file for file in files if file != path and file.is_file()]


def usd(module: str) -> Any:
    """Return a module of the package pxr, which lies inside Blender's; the first one takes a second to import."""
    spec = find_spec("bpy")
    assert spec is not None
    for folder in spec.submodule_search_locations or ():
        for place in Path(folder).glob("*/python/lib/python3.*/site-packages"):
            if str(place) not in sys.path:
                sys.path.append(str(place))
    return import_module(f"pxr.{module}")
