"""Rigid alignment by ICP, for meshes of methods that know no frame (sec. 5.2).

The paper aligns Wonder3D's and Open-LRM's meshes alone; nothing that this project makes is aligned.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from models.reconstruction.mesh import Mesh
from models.reconstruction.views import Floats
from tasks.evaluation.surface_points import surface_points

POINTS = 4000
MAX_STEPS = 100
SMALLEST_GAIN = 1e-6
"""Iterations end when the mean distance falls by less, in units of the object's longest side."""


def align_by_icp(mesh: Mesh, target: Mesh, rng: np.random.Generator) -> Mesh:
    """Turn and shift a mesh onto another by iterative closest points (Besl and McKay 1992); its size is kept.

    The nearest pose is found: turn a mesh whose front is elsewhere before.

    Args:
        mesh: The mesh to align.
        target: What it is aligned to, in the frame of the evaluation.
        rng: Draws POINTS points on each surface.
    """
    points = surface_points(mesh, POINTS, rng).points_N3
    goal = surface_points(target, POINTS, rng).points_N3
    tree = cKDTree(goal)
    rotation, shift, before = np.eye(3), np.zeros(3), np.inf
    for _ in range(MAX_STEPS):
        found, nearest = tree.query(points @ rotation.T + shift)
        distance = float(np.mean(found))
        if before - distance < SMALLEST_GAIN:
            break
        before = distance
        rotation, shift = best_motion(points, goal[nearest])
    moved = mesh.vertices.astype(np.float64) @ rotation.T + shift
    return replace(mesh, vertices=moved.astype(np.float32))


def best_motion(points_N3: Floats, targets_N3: Floats) -> tuple[Floats, Floats]:
    """Return rotation (3, 3) and shift (3,) that bring points to their targets in least squares (Kabsch 1976)."""
    middle, goal = points_N3.mean(axis=0), targets_N3.mean(axis=0)
    left, _, right = np.linalg.svd((points_N3 - middle).T @ (targets_N3 - goal))
    proper = np.diag([1, 1, np.sign(np.linalg.det(right.T @ left.T))])
    rotation = right.T @ proper @ left.T
    return rotation, goal - rotation @ middle
