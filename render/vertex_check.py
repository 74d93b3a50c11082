"""Whether a file's vertices are numbers. Asked of the file itself: Blender turns NaN and infinity into 0 in silence."""

import base64
import json
import re
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

OBJ_NOT_FINITE = re.compile(rb"^\s*v\s[^\n]*(?:nan|inf)", re.IGNORECASE | re.MULTILINE)
FLOAT = 5126
"""glTF's name for 32-bit floats; the other component types are whole numbers."""


def has_finite_vertices(path: Path) -> bool:
    """Whether every vertex position is finite, in a GLB, glTF or OBJ file that Blender has accepted.

    Compressed positions (Draco) are whole numbers in the file and count as finite.
    """
    content = path.read_bytes()
    if path.suffix.lower() == ".obj":
        return OBJ_NOT_FINITE.search(content) is None
    gltf, binary = split(content)
    buffers = [read_buffer(buffer, binary, path.parent) for buffer in gltf.get("buffers", ())]
    positions = {
        attributes["POSITION"]
        for mesh in gltf.get("meshes", ())
        for primitive in mesh["primitives"]
        for attributes in (primitive["attributes"], *primitive.get("targets", ()))
        if "POSITION" in attributes
    }
    return all(is_finite(gltf["accessors"][index], gltf, buffers) for index in positions)


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON of a glTF file or GLB container, and the container's binary chunk if it has one."""
    if content[:4] != b"glTF":
        return json.loads(content), b""
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def read_buffer(buffer: dict[str, Any], binary: bytes, folder: Path) -> bytes:
    """The bytes of one buffer: in the container, in the JSON, or in a file beside it."""
    uri = buffer.get("uri")
    if uri is None:
        return binary
    if uri.startswith("data:"):
        return base64.b64decode(uri.partition(",")[2])
    return (folder / unquote(uri)).read_bytes()


def is_finite(accessor: dict[str, Any], gltf: dict[str, Any], buffers: list[bytes]) -> bool:
    """Whether all values of an accessor of three components are finite."""
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
