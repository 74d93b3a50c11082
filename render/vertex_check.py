"""Checks that the vertex positions in a file are finite. Blender cannot be asked: it turns NaN and infinity into 0."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from render.gltf import read_buffers, read_document

FLOAT = 5126
"""glTF's name for 32-bit floats; the other component types are whole numbers."""


def has_finite_vertices(path: Path) -> bool:
    """Tell whether every vertex position is finite, in a GLB, glTF or OBJ file that Blender has accepted.

    Compressed positions (Draco) are whole numbers in the file and count as finite; those of an OBJ file were checked
    when it was read (render.obj.vertices).
    """
    if path.suffix.lower() == ".obj":
        return True
    gltf = read_document(path)
    buffers = read_buffers(path, gltf)
    positions = {
        attributes["POSITION"]
        for mesh in gltf.get("meshes", ())
        for primitive in mesh["primitives"]
        for attributes in (primitive["attributes"], *primitive.get("targets", ()))
        if "POSITION" in attributes
    }
    return all(is_finite(gltf["accessors"][index], gltf, buffers) for index in positions)


def is_finite(accessor: dict[str, Any], gltf: dict[str, Any], buffers: list[bytes]) -> bool:
    """Tell whether all values of an accessor of three components are finite."""
    if accessor["componentType"] != FLOAT or "bufferView" not in accessor:
        return True
    view = gltf["bufferViews"][accessor["bufferView"]]
    values: npt.NDArray[np.float32] = np.ndarray(
        (accessor["count"], 3),
        dtype="<f4",
        buffer=buffers[view["buffer"]],
        offset=view.get("byteOffset", 0) + accessor.get("byteOffset", 0),
        strides=(view.get("byteStride", 12), 4),
    )
    return bool(np.isfinite(values).all())
