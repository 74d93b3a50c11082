"""Writes small glTF files field by field, so that a test can say exactly what stands in one."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

RED, GREEN, BLUE, GREY = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.5)
COMPONENTS = {"float32": 5126, "int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Gltf:
    """A glTF document with one buffer; `node` puts what it makes into the first scene unless it is told not to."""

    def __init__(self) -> None:
        self.content = b""
        self.document: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}]}

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append an item to the list `kind`; returns its index."""
        items: list[Any] = self.document.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def view(self, content: bytes) -> int:
        self.content += b"\0" * (-len(self.content) % 4)
        start, self.content = len(self.content), self.content + content
        return self.add("bufferViews", {"buffer": 0, "byteOffset": start, "byteLength": len(content)})

    def accessor(self, values: Any, **fields: Any) -> int:
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        item = {
            "bufferView": self.view(array.tobytes()),
            "componentType": COMPONENTS[array.dtype.name],
            "count": len(array),
            "type": KINDS[array[0].size],
        }
        return self.add("accessors", item | fields)

    def material(self, colour: tuple[float, ...] = GREY, alpha: float = 1.0, **fields: Any) -> int:
        """A matt one."""
        surface = {"baseColorFactor": [*colour, alpha], "metallicFactor": 0.0, "roughnessFactor": 1.0}
        return self.add("materials", {"pbrMetallicRoughness": surface} | fields)

    def mesh(self, shape: trimesh.Trimesh, material: int | None = None, **attributes: Any) -> int:
        """A mesh of one primitive; `attributes` are accessors, e.g. COLOR_0."""
        primitive: dict[str, Any] = {
            "attributes": {"POSITION": self.accessor(shape.vertices)} | attributes,
            "indices": self.accessor(shape.faces.astype(np.uint32).ravel()),
        }
        if material is not None:
            primitive["material"] = material
        return self.add("meshes", {"primitives": [primitive]})

    def primitive(self, mesh: int = 0) -> dict[str, Any]:
        """The only primitive of a mesh, to be changed."""
        primitive: dict[str, Any] = self.document["meshes"][mesh]["primitives"][0]
        return primitive

    def node(self, mesh: int | None = None, *, in_scene: bool = True, **fields: Any) -> int:
        index = self.add("nodes", fields if mesh is None else {"mesh": mesh} | fields)
        if in_scene:
            self.document["scenes"][0]["nodes"].append(index)
        return index

    def use(self, *extensions: str, required: bool = False) -> None:
        self.document["extensionsUsed"] = [*extensions]
        if required:
            self.document["extensionsRequired"] = [*extensions]

    def image(self, content: bytes, kind: str) -> int:
        return self.add("images", {"bufferView": self.view(content), "mimeType": kind})

    def write(self, path: Path) -> Path:
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.content).decode()
        buffers = [{"byteLength": len(self.content), "uri": uri}] if self.content else []
        path.write_text(json.dumps(self.document | {"buffers": buffers}))
        return path

    def write_beside(self, path: Path, uri: str) -> bytes:
        """Write the file with a buffer that lies beside it under a name; returns what shall stand there."""
        path.write_text(json.dumps(self.document | {"buffers": [{"byteLength": len(self.content), "uri": uri}]}))
        return self.content


def box(*sides: float, at: tuple[float, float, float] = (0, 0, 0)) -> trimesh.Trimesh:
    """A closed box with faces outwards, in glTF's axes; one number makes a cube."""
    shape = trimesh.creation.box(sides if len(sides) == 3 else sides * 3)
    shape.apply_translation(at)
    return shape


def inverted(shape: trimesh.Trimesh) -> trimesh.Trimesh:
    """The same shape with its faces inwards."""
    return trimesh.Trimesh(shape.vertices, shape.faces[:, ::-1], process=False)


def square(side: float = 1.0) -> trimesh.Trimesh:
    """A sheet in glTF's x-y plane that looks along +z, which is azimuth 270 in the world."""
    half = side / 2
    corners = [[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]]
    return trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
