"""Rigid alignment by ICP, for meshes of methods that know no frame (sec. 5.2).

The paper aligns Wonder3D's and Open-LRM's meshes alone; nothing that this project makes is aligned.
"""

from dataclasses import replace

import numpy as np
from trimesh.registration import icp
from trimesh.transformations import transform_points

from models.reconstruction.mesh import Mesh
from tasks.evaluation.surface_points import surface_points

POINTS = 4000
MAX_STEPS = 100
SMALLEST_GAIN = 1e-9
"""Iterations end when the mean squared distance falls by less; the object's longest side is 1."""


def align_by_icp(mesh: Mesh, target: Mesh, rng: np.random.Generator) -> Mesh:
    """Turn and shift a mesh onto another by iterative closest points (Besl and McKay 1992); its size is kept.

    The nearest pose is found: turn a mesh whose front is elsewhere before.

    Args:
        mesh: The mesh to align.
        target: What it is aligned to, in the frame of the evaluation.
        rng: Draws POINTS points on each surface.
    """
    points, goal = (surface_points(one, POINTS, rng).points_N3 for one in (mesh, target))
    motion, _, _ = icp(points, goal, threshold=SMALLEST_GAIN, max_iterations=MAX_STEPS, reflection=False, scale=False)
    return replace(mesh, vertices=transform_points(mesh.vertices, motion).astype(np.float32))
