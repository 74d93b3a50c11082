"""A part of an object: a shape with a finish; and how parts become a scene and a GLB file's bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial

from tasks.sources.procedural.colours import STEEL, Colour, linear
from tasks.sources.procedural.shape import Shape, areas, shaded

Picture = Image.Image


@dataclass(frozen=True)
class Finish:
    """What a surface looks like; two parts with the same Finish object share a material."""

    colour: Colour
    """sRGB; of a pictured finish, the picture's mean."""
    metallic: float
    roughness: float
    picture: Picture | None = None


@dataclass(frozen=True)
class Part:
    """A named piece of an object."""

    name: str
    shape: Shape
    finish: Finish

    @property
    def area(self) -> float:
        """Surface area, hidden faces included."""
        return float(areas(self.shape).sum())


def glossy(colour: Colour, roughness: float = 0.3) -> Finish:
    """Lacquer, plastic or glazed clay."""
    return Finish(colour, 0.0, roughness)


def matte(colour: Colour) -> Finish:
    """Cloth, soil, leaves, bare wood."""
    return Finish(colour, 0.0, 0.85)


def metal(colour: Colour = STEEL, roughness: float = 0.3) -> Finish:
    """Polished or brushed metal."""
    return Finish(colour, 0.9, roughness)


def printed(picture: Picture, roughness: float = 0.5) -> Finish:
    """A surface that shows `picture`."""
    red, green, blue = np.asarray(picture, dtype=np.float64).reshape(-1, 3).mean(axis=0) / 255
    return Finish((float(red), float(green), float(blue)), 0.0, roughness, picture)


def scene_of(parts: Sequence[Part]) -> trimesh.Scene:
    """The parts as a trimesh scene, Z up, one geometry per part."""
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
    """The scene as a GLB, Y up as glTF demands; the front looks along +Z."""
    upright = scene.copy()
    y_up_from_z_up = trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0])
    for mesh in upright.geometry.values():
        mesh.apply_transform(y_up_from_z_up)
    return bytes(upright.export(file_type="glb", include_normals=True))


def _material(part: Part) -> PBRMaterial:
    finish = part.finish
    colour = (1.0, 1.0, 1.0) if finish.picture else linear(finish.colour)
    return PBRMaterial(
        name=part.name,
        baseColorFactor=[*(round(channel * 255) for channel in colour), 255],
        baseColorTexture=finish.picture,
        metallicFactor=finish.metallic,
        roughnessFactor=finish.roughness,
        doubleSided=False,
    )
