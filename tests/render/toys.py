"""Small configurations and objects for the tests of render/."""

from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from render.cameras import Camera
from render.config import LightConfig, RenderConfig
from render.quality import Quality

OBJECTS = Path(__file__).parents[3] / "shared" / "data" / "objects"
GATES = {
    "empty": {"limit": 0.005, "max_share": 0.5},
    "clipped": {"limit": 0.0, "max_share": 1.0},
    "black": {"limit": 0.03, "max_share": 1.0},
    "blown": {"limit": 0.5, "max_share": 1.0},
}
TOY_QUALITY = Quality(samples=4, noise_threshold=0, denoise="none", max_bounces=1)
QUALITY = set(Quality.model_fields)
UNIFORM = LightConfig(sky=1.0, ground=1.0, suns="none", sun=0.0)
SIDES = (1.0, 0.6, 0.3)
"""Of the box, along glTF's x, y (up) and z."""


def toy_config(**changes: Any) -> RenderConfig:
    """Fields of the configuration, or of its quality."""
    values = {
        "recipe": 1,
        "resolution": 64,
        "engine": "cycles",
        "passes": (),
        "quality": TOY_QUALITY.model_copy(update={key: changes.pop(key) for key in QUALITY & changes.keys()}),
        "azimuths": 8,
        "elevations_deg": (-30, 0, 30, 60),
        "fov_deg": 60,
        "distance": 1.5,
        "conditions": 5,
        "condition_elevation_deg": (-10, 45),
        "condition_distance": (1.5, 2.2),
        "light": UNIFORM,
        "gates": GATES,
        "objects_per_shard": 4,
        "max_failed_share": 0.0,
    }
    return RenderConfig(**(values | changes))


def camera(
    azimuth_deg: float = 0.0,
    elevation_deg: float = 0.0,
    distance: float = 1.5,
    fov_deg: float = 60.0,
    name: str = "t00",
) -> Camera:
    return Camera(name, azimuth_deg, elevation_deg, distance, fov_deg)


def painted(mesh: Any, colour: tuple[int, ...]) -> Any:
    """The mesh in one matt colour, 0 to 255."""
    material = PBRMaterial(baseColorFactor=[*colour, 255], roughnessFactor=1.0, metallicFactor=0.0)
    mesh.visual = TextureVisuals(uv=np.zeros((len(mesh.vertices), 2)), material=material)
    return mesh


def write_box(path: Path, colour: tuple[int, ...] = (200, 200, 200), **export: Any) -> Path:
    painted(trimesh.creation.box(SIDES), colour).export(path, **export)
    return path


def write_axes(path: Path) -> Path:
    """Six cubes on the axes of glTF: +x red, +y (up) green, +z blue, the opposite ones grey."""
    colours = {0: (255, 0, 0), 1: (0, 255, 0), 2: (0, 0, 255)}
    scene = trimesh.Scene()
    for axis, colour in colours.items():
        for sign in (1, -1):
            cube = trimesh.creation.box((0.2, 0.2, 0.2))
            cube.apply_translation(np.eye(3)[axis] * sign * 0.4)
            scene.add_geometry(painted(cube, colour if sign > 0 else (90, 90, 90)))
    scene.export(path)
    return path
