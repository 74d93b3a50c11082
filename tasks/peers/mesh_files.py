"""Mesh files of other people: OBJ, PLY and GLB with vertex colours or textures, as plain arrays."""

# Shapes: N vertex, F face, H and W texture size

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image
from scipy import ndimage
from trimesh.visual import ColorVisuals, TextureVisuals

from models.data.photo_files import BROKEN
from models.reconstruction.mesh import NO_COLOUR, Mesh
from render.gltf import read_document
from render.gltf_limits import check_document
from tasks.peers.layout import Request

ENDINGS = (".glb", ".obj", ".ply")


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles of one material."""

    vertices: npt.NDArray[np.float64]
    """(N, 3)"""
    faces: npt.NDArray[np.int64]
    """(F, 3)"""
    colours: npt.NDArray[np.float64]
    """(N, 3) sRGB from 0 to 255; of a texture, they are its values at the vertices."""
    uv: npt.NDArray[np.float64] | None = None
    """(N, 2), v up."""
    texture: npt.NDArray[np.uint8] | None = None
    """(H, W, 3) sRGB."""
    is_coloured: bool = True
    """Whether the file says what colours it has."""

    def moved(self, vertices: npt.NDArray[np.float64]) -> "Surface":
        """Return the surface with other vertices (N, 3)."""
        return replace(self, vertices=vertices)


def find_mesh(request: Request) -> Path:
    """Return the mesh file of an object.

    Raises ValueError when there is none, or more than one in its folder.
    """
    folder, uid = request.folder, request.uid
    usual = [folder / f"{uid}{ending}" for ending in ENDINGS]
    usual += [folder / f"{uid}-neus" / "mesh.ply", folder / uid / "mesh.ply"]
    first = next((path for path in usual if path.is_file()), None)
    if first is not None:
        return first
    inside = sorted(path for path in (folder / uid).glob("*") if path.suffix.lower() in ENDINGS)
    if len(inside) != 1:
        found = f"holds {len(inside)} of them" if inside else "holds none"
        names = ", ".join(f"{uid}{ending}" for ending in ENDINGS)
        raise ValueError(f"{uid} is incomplete: {folder} has no {names}, and {folder / uid} {found}; expected one mesh")
    return inside[0]


def read_surfaces(path: Path) -> list[Surface]:
    """Read all triangles of a mesh file, in the coordinates of its scene.

    Raises ValueError when it cannot be read or holds no triangles.
    """
    try:
        if path.suffix.lower() in (".glb", ".gltf"):
            check_document(path, read_document(path))
        scene = trimesh.load_scene(path, process=False)
    except Exception as fault:  # trimesh's readers raise whatever they stumble upon
        raise ValueError(f"{path} cannot be read as a mesh ({fault!r}); write it again") from fault
    try:
        surfaces = list(_surfaces(scene))
    except BROKEN as fault:  # Pillow decodes textures only now
        raise ValueError(f"{path} has a texture that cannot be decoded ({fault}); write it again") from fault
    if not surfaces:
        raise ValueError(f"{path} holds no triangles")
    return surfaces


def _surfaces(scene: trimesh.Scene) -> Iterator[Surface]:
    for name in scene.graph.nodes_geometry:
        matrix, geometry = scene.graph[name]
        solid = scene.geometry[geometry]
        if isinstance(solid, trimesh.Trimesh) and len(solid.faces):
            vertices = trimesh.transform_points(np.asarray(solid.vertices, dtype=np.float64), matrix)
            yield _coloured(vertices, np.asarray(solid.faces, dtype=np.int64), solid.visual)


def _coloured(
    vertices: npt.NDArray[np.float64], faces: npt.NDArray[np.int64], visual: ColorVisuals | TextureVisuals | None
) -> Surface:
    plain = np.tile(np.array(NO_COLOUR, dtype=np.float64), (len(vertices), 1))
    if isinstance(visual, TextureVisuals):
        return _textured(Surface(vertices, faces, plain), visual)
    if visual is not None and visual.kind == "vertex":
        return Surface(vertices, faces, np.asarray(visual.vertex_colors)[:, :3].astype(np.float64))
    if visual is not None and visual.kind == "face":  # each face gets corners of its own
        corners = faces.reshape(-1)
        colours = np.repeat(np.asarray(visual.face_colors)[:, :3].astype(np.float64), 3, axis=0)
        return Surface(vertices[corners], np.arange(len(corners)).reshape(-1, 3), colours)
    return Surface(vertices, faces, plain, is_coloured=False)


def _textured(bare: Surface, visual: TextureVisuals) -> Surface:
    material = visual.material
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    factor = getattr(material, "baseColorFactor", None)
    tint = np.ones(3) if factor is None else np.asarray(factor, dtype=np.float64)[:3] / 255
    if not isinstance(picture, Image.Image) or visual.uv is None:
        named = getattr(material, "diffuse", None) if factor is None else factor
        colour = bare.colours[:1] if named is None else np.asarray(named, dtype=np.float64)[None, :3]
        return replace(bare, colours=np.repeat(colour, len(bare.vertices), axis=0), is_coloured=named is not None)
    texture = np.rint(np.asarray(picture.convert("RGB")) * tint).astype(np.uint8)
    uv = np.asarray(visual.uv, dtype=np.float64)
    return replace(bare, colours=look_up(texture, uv), uv=uv, texture=texture)


def look_up(texture: npt.NDArray[np.uint8], uv_K2: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the colours (K, 3) of a texture (H, W, 3), bilinear, repeated beyond its borders."""
    height, width, _ = texture.shape
    place = np.stack([(1 - uv_K2[:, 1]) * height - 0.5, uv_K2[:, 0] * width - 0.5])
    bands = [
        ndimage.map_coordinates(texture[..., band], place, output=np.float64, order=1, mode="grid-wrap")
        for band in range(3)
    ]
    return np.stack(bands, axis=1)


def joined(surfaces: list[Surface]) -> Mesh:
    """Return all surfaces as one mesh with vertex colours."""
    starts = np.cumsum([0, *(len(surface.vertices) for surface in surfaces)])[:-1]
    faces = [surface.faces + start for surface, start in zip(surfaces, starts, strict=True)]
    colours = np.concatenate([surface.colours for surface in surfaces])
    return Mesh(
        np.concatenate([surface.vertices for surface in surfaces]).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.rint(colours.clip(0, 255)).astype(np.uint8),
    )
