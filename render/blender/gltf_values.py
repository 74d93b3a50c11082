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

FLOAT = 5126
"""glTF's name for 32-bit floats; the other component types are whole numbers."""
REPLACEMENTS = {"NORMAL": 0.0, "TANGENT": 0.0, "TEXCOORD": 0.0, "COLOR": 1.0, "WEIGHTS": 0.0}
"""What stands in for NaN and infinity, by the beginning of an attribute's name; a normal of 0 is that of the face."""


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
    if primitive.indices is None or primitive.mode not in {None, 4}:
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
            primitive.attributes[name] = add_accessor(gltf, index, mended)


def add_accessor(gltf: Any, like: int, values: npt.NDArray[np.float32]) -> int:
    """Add `values` (N, C) to the document as an accessor of the type of accessor `like`; return its index."""
    buffer = max(len(gltf.data.buffers), *gltf.buffers) + 1
    gltf.buffers[buffer] = values.astype("<f4").tobytes()
    view = BufferView.from_dict({"buffer": buffer, "byteLength": values.nbytes})
    gltf.data.buffer_views.append(view)
    accessor = {
        "bufferView": len(gltf.data.buffer_views) - 1,
        "componentType": FLOAT,
        "count": len(values),
        "type": gltf.data.accessors[like].type,
    }
    gltf.data.accessors.append(Accessor.from_dict(accessor))
    return len(gltf.data.accessors) - 1
