"""A part of an object: a shape with a finish; and how parts become a scene and a GLB file's bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial

from tasks.sources.procedural.colours import STEEL, Colour, linear
from tasks.sources.procedural.shape import Floats, Shape, areas, shaded

Texture = Image.Image
"""An RGB image that is laid over a surface by its texture coordinates."""
DECIMALS = 6
"""Coordinates in a file are rounded to so many; objects are about 1 long."""


@dataclass(frozen=True)
class Finish:
    """What a surface looks like: a glTF metallic-roughness material. Parts with the same Finish object share it."""

    colour: Colour
    """sRGB; the texture's mean where there is one."""
    metallic: float
    """0 is plastic or cloth, 1 is bare metal."""
    roughness: float
    """0 is a mirror, 1 is matte."""
    texture: Texture | None = None


@dataclass(frozen=True)
class Part:
    """A named piece of an object: a closed surface and what it looks like."""

    name: str
    shape: Shape
    finish: Finish

    @property
    def area(self) -> float:
        """Return the surface area, hidden faces included."""
        return float(areas(self.shape).sum())


def glossy(colour: Colour, roughness: float = 0.3) -> Finish:
    """Return the finish of lacquer, plastic or glazed clay."""
    return Finish(colour, 0.0, roughness)


def matte(colour: Colour) -> Finish:
    """Return the finish of cloth, soil, leaves or bare wood."""
    return Finish(colour, 0.0, 0.85)


def metal(colour: Colour = STEEL, roughness: float = 0.3) -> Finish:
    """Return the finish of polished or brushed metal."""
    return Finish(colour, 0.9, roughness)


def printed(texture: Texture, roughness: float = 0.5) -> Finish:
    """Return the finish of a surface that shows `texture`."""
    red, green, blue = np.asarray(texture, dtype=np.float64).reshape(-1, 3).mean(axis=0) / 255
    return Finish((float(red), float(green), float(blue)), 0.0, roughness, texture)


def scene_of(parts: Sequence[Part]) -> trimesh.Scene:
    """Return the parts as a trimesh scene, Z up, one geometry per part."""
    scene = trimesh.Scene()
    materials = {id(part.finish): _material(part) for part in parts}
    for number, part in enumerate(parts):
        shape, normals = shaded(part.shape)
        visual = trimesh.visual.TextureVisuals(uv=shape.uv, material=materials[id(part.finish)])
        mesh = trimesh.Trimesh(shape.vertices, shape.faces, vertex_normals=normals, visual=visual, process=False)
        name = f"{number:02d}_{part.name}"
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    return scene


def glb_of(scene: trimesh.Scene) -> bytes:
    """Return the scene as the bytes of a GLB file, Y up as glTF demands; the front looks along +Z.

    The bytes are equal on all processors: their matrix products differ by 1e-16, so coordinates are rounded.
    """
    upright = trimesh.Scene()
    for name, mesh in scene.geometry.items():
        visual = trimesh.visual.TextureVisuals(uv=_rounded(mesh.visual.uv), material=mesh.visual.material)
        vertices, normals = _y_up(mesh.vertices), _y_up(mesh.vertex_normals)
        turned = trimesh.Trimesh(vertices, mesh.faces, vertex_normals=normals, visual=visual, process=False)
        upright.add_geometry(turned, node_name=name, geom_name=name)
    return bytes(upright.export(file_type="glb", include_normals=True))


def _y_up(points: Floats) -> Floats:
    """Turn points (N, 3) from Z up to Y up, rounded."""
    return _rounded(np.asarray(points)[:, [0, 2, 1]] * (1.0, 1.0, -1.0))


def _rounded(values: Floats) -> Floats:
    return np.round(np.asarray(values), DECIMALS) + 0.0  # which makes -0.0 to 0.0


def _material(part: Part) -> PBRMaterial:
    finish = part.finish
    colour = (1.0, 1.0, 1.0) if finish.texture else linear(finish.colour)
    return PBRMaterial(
        name=part.name,
        baseColorFactor=[*(round(channel * 255) for channel in colour), 255],
        baseColorTexture=finish.texture,
        metallicFactor=finish.metallic,
        roughnessFactor=finish.roughness,
        doubleSided=False,
    )
