"""True meshes as each system would write them: in its own frame and file format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial

from tests.tasks.peers.balls import LIGHT, OBJECTS, Balls, save, upright

Turn = Callable[[np.ndarray], np.ndarray]
GIVEN = upright(0.0, 30.0)


def as_it_is(points: np.ndarray) -> np.ndarray:
    return points


def lrm(points: np.ndarray) -> np.ndarray:
    """The given camera at (0, -2, 0), its right +X and its up +Z; it sees the object as large as ours does."""
    right, up, backward = points @ GIVEN[:, 0], points @ GIVEN[:, 1], points @ GIVEN[:, 2]
    ours = 0.5 / np.tan(np.radians(49.13 / 2)) / 1.5
    return np.stack([right, -backward, up], axis=1) * ours / (0.75 / 2)


def gltf(points: np.ndarray) -> np.ndarray:
    """Y up, the given view in front (+Z), and some other size and place."""
    return np.stack([points[:, 1], points[:, 2], points[:, 0]], axis=1) * 0.83 + [0.1, -0.2, 0.05]


def large(points: np.ndarray) -> np.ndarray:
    return points * 1.3


def ramps(balls: Balls) -> tuple[np.ndarray, Callable[[int, np.ndarray], np.ndarray]]:
    """A texture with a band per ball, along which its shade grows; where a normal of a ball is found in it (v up)."""
    along = np.linspace(-1, 1, 64)
    bands = [np.outer(0.6 + 0.4 * along, colour)[None].repeat(8, axis=0) for colour in balls.colours]
    texture = np.rint(np.concatenate(bands)).astype(np.uint8)

    def place(ball: int, normals: np.ndarray) -> np.ndarray:
        column = (normals @ LIGHT + 1) / 2 * 63 + 0.5
        return np.stack([column / 64, np.full(len(normals), 1 - (ball + 0.5) / len(balls.radii))], axis=1)

    return texture, place


def parts_of(balls: Balls) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vertices, faces and texture coordinates of each ball."""
    _, place = ramps(balls)
    sphere = trimesh.creation.icosphere(3)
    normals = np.asarray(sphere.vertices)
    pairs = enumerate(zip(balls.centres, balls.radii, strict=True))
    return [(centre + radius * normals, np.asarray(sphere.faces), place(n, normals)) for n, (centre, radius) in pairs]


def write_plys(pattern: str, turn: Turn, *, has_colours: bool = True) -> Callable[[Path], None]:
    def pack(folder: Path) -> None:
        for uid, balls in OBJECTS.items():
            solid = balls.mesh()
            solid.vertices = turn(np.asarray(solid.vertices))
            if not has_colours:
                solid.visual = ColorVisuals()
            path = folder / pattern.format(uid=uid)
            path.parent.mkdir(parents=True, exist_ok=True)
            solid.export(path)

    return pack


def write_objs(turn: Turn) -> Callable[[Path], None]:
    """Textured, written by hand."""

    def pack(folder: Path) -> None:
        for uid, balls in OBJECTS.items():
            lines, first = [f"mtllib {uid}.mtl", "usemtl all"], 1
            for vertices, faces, uv in parts_of(balls):
                lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in turn(vertices)]
                lines += [f"vt {u:.6f} {v:.6f}" for u, v in uv]
                lines += ["f " + " ".join(f"{corner}/{corner}" for corner in face + first) for face in faces]
                first += len(vertices)
            save(folder / uid / "all.png", ramps(balls)[0])
            (folder / uid / f"{uid}.mtl").write_text("newmtl all\nmap_Kd all.png\n")
            (folder / uid / "model.obj").write_text("\n".join(lines) + "\n")

    return pack


def write_glbs(turn: Turn) -> Callable[[Path], None]:
    """A scene of one node per ball, each moved by its node, with one texture."""

    def pack(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for uid, balls in OBJECTS.items():
            material = PBRMaterial(baseColorTexture=Image.fromarray(ramps(balls)[0]))
            scene = trimesh.Scene()
            for vertices, faces, uv in parts_of(balls):
                placed = turn(vertices)
                centre = placed.mean(axis=0)
                solid = trimesh.Trimesh(
                    placed - centre, faces, visual=TextureVisuals(uv=uv, material=material), process=False
                )
                scene.add_geometry(solid, transform=trimesh.transformations.translation_matrix(centre))
            scene.export(folder / f"{uid}.glb")

    return pack
