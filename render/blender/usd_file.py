"""What a USD file says of itself and needs, by the USD library that Blender brings along. Does not load Blender."""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from render.axes import UpAxis
from render.errors import Unrenderable


def stage_up_axis(path: Path) -> UpAxis:
    """Return the up axis of a USD file, Y or Z.

    Raises Unrenderable when it cannot be read.
    """
    try:
        stage = usd("Usd").Stage.Open(str(path))
    except usd("Tf").ErrorException as error:
        raise Unrenderable("the file is no USD file that can be read") from error
    return "Z" if usd("UsdGeom").GetStageUpAxis(stage) == "Z" else "Y"


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
