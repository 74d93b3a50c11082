"""Checks the numbers of a glTF mesh as the importer decodes them: sparse, quantised and Draco accessors included.

Blender cannot be asked afterwards: it turns NaN and infinity into 0.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from io_scene_gltf2.io.com.gltf2_io import Accessor, BufferView
from io_scene_gltf2.io.imp.gltf2_io_binary import BinaryData

from render.errors import Unrenderable
from render.orientation import DOUBLED, doubled

FLOAT, UNSIGNED_INT = 5126, 5125
"""glTF's names for 32-bit floats and for the largest whole numbers; the other component types are whole numbers too."""
TRIANGLES, TRIANGLE_STRIP, TRIANGLE_FAN = 4, 5, 6
"""glTF's names for the ways to write triangles."""
REPLACEMENTS = {"NORMAL": 0.0, "TANGENT": 0.0, "TEXCOORD": 0.0, "COLOR": 1.0, "WEIGHTS": 0.0}
"""What stands in for NaN and infinity, by the beginning of an attribute's name; a normal of 0 is that of the face."""


def leave_out_incomplete_triangles(gltf: Any, primitive: Any) -> None:
    """Leave out the corners behind the last whole triangle of a primitive, as glTF 2.0 (section 3.7.2.1) says.

    Blender's importer would count them as the beginning of the next primitive's triangles, and crashes where there is
    nothing else.
    """
    if "POSITION" not in primitive.attributes:
        return
    indices = primitive.indices
    count = gltf.data.accessors[primitive.attributes["POSITION"] if indices is None else indices].count
    is_list = primitive.mode in {None, TRIANGLES}
    if count >= 3 and not (is_list and count % 3):
        return
    corners = np.arange(count) if indices is None else BinaryData.decode_accessor(gltf, indices)[:, 0]
    whole = corners[: count // 3 * 3, None].astype(np.uint32)
    primitive.mode = TRIANGLES
    primitive.indices = add_accessor(gltf, whole, component_type=UNSIGNED_INT, kind="SCALAR")


def require_finite_positions(gltf: Any, primitive: Any) -> None:
    """Raise Unrenderable when a vertex that a face of a primitive uses has no finite position, in any morph target."""
    if "POSITION" not in primitive.attributes:
        return
    used = slice(None) if primitive.indices is None else BinaryData.decode_accessor(gltf, primitive.indices)[:, 0]
    for attributes in (primitive.attributes, *(primitive.targets or ())):
        if "POSITION" in attributes and not np.isfinite(positions_of(gltf, primitive, attributes)[used]).all():
            raise Unrenderable("vertices are not finite")


def positions_of(gltf: Any, primitive: Any, attributes: dict[str, int]) -> npt.NDArray[Any]:
    """Return the positions (N, 3) of a primitive or of one of its morph targets.

    Raises Unrenderable for a compressed mesh that the importer could not decode: it would put all vertices at 0.
    """
    accessor = gltf.data.accessors[attributes["POSITION"]]
    if "KHR_draco_mesh_compression" in (primitive.extensions or {}) and accessor.buffer_view is None:
        raise Unrenderable("a mesh is compressed with Draco and cannot be decoded; the data are damaged")
    values: npt.NDArray[Any] = BinaryData.decode_accessor(gltf, attributes["POSITION"])
    return values


def has_twins(gltf: Any, primitive: Any) -> bool:
    """Tell whether a list of triangles names the corners of many of them twice, as exporters write two sides."""
    if primitive.indices is None or primitive.mode not in {None, TRIANGLES}:
        return False
    indices = BinaryData.decode_accessor(gltf, primitive.indices)[:, 0]
    corners = indices[: len(indices) // 3 * 3].reshape(-1, 3).astype(np.int64)
    return doubled(corners) > DOUBLED


def replace_not_finite(gltf: Any, primitive: Any) -> None:
    """Put a value from REPLACEMENTS wherever another attribute than the position is not finite."""
    for name, index in primitive.attributes.items():
        kind = name.partition("_")[0]
        if kind not in REPLACEMENTS or gltf.data.accessors[index].component_type != FLOAT:
            continue
        values = BinaryData.decode_accessor(gltf, index)
        if not np.isfinite(values).all():
            mended = np.where(np.isfinite(values), values, np.float32(REPLACEMENTS[kind]))
            kind = gltf.data.accessors[index].type
            primitive.attributes[name] = add_accessor(gltf, mended, component_type=FLOAT, kind=kind)


def normalize_colours(gltf: Any, primitive: Any) -> None:
    """Take colours in whole numbers as shares of the largest, the only meaning that glTF gives them.

    Programs forget to say so (`normalized`), and then Blender's importer takes 255 for 255 times white.
    """
    for name, index in primitive.attributes.items():
        accessor = gltf.data.accessors[index]
        if name.startswith("COLOR_") and accessor.component_type != FLOAT:
            accessor.normalized = True


def add_accessor(gltf: Any, values: npt.NDArray[Any], *, component_type: int, kind: str) -> int:
    """Add 32-bit `values` (N, C) to the document as an accessor of a type such as VEC3; return its index."""
    buffer = max([len(gltf.data.buffers), *gltf.buffers]) + 1
    gltf.buffers[buffer] = values.astype(values.dtype.newbyteorder("<")).tobytes()
    view = BufferView.from_dict({"buffer": buffer, "byteLength": values.nbytes})
    gltf.data.buffer_views.append(view)
    accessor = {
        "bufferView": len(gltf.data.buffer_views) - 1,
        "componentType": component_type,
        "count": len(values),
        "type": kind,
    }
    gltf.data.accessors.append(Accessor.from_dict(accessor))
    return len(gltf.data.accessors) - 1
