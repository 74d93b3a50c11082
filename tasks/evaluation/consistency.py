"""Whether predicted views agree with each other about one object, after MVGBench (arXiv 2507.00006).

One visual hull is made of every second view and one of the others, both coloured; the scores are how far they differ.
No ground truth is needed, and a plausible object that is not the true one is not punished. Hulls instead of MVGBench's
Gaussians, because they take less than a second without a GPU; true views do not score 0 either, as two hulls from 16
views differ where neither set of silhouettes carves.
"""

# Shapes: V view

from collections.abc import Sequence

import numpy as np
import torch

from models.losses.metrics import MAX_PSNR, on_white, psnr
from models.reconstruction.hull import enclosing_extent, visual_hull
from models.reconstruction.mesh import Mesh, extract_mesh
from models.reconstruction.mesh_views import render_mesh_views
from models.reconstruction.silhouettes import Silhouettes
from models.reconstruction.views import Views
from render.cameras import Camera
from render.resample import resample
from render.views import ViewKind, ring_cameras
from tasks.artifacts.randomness import rng_for
from tasks.artifacts.views import Image, ViewSet, as_cameras
from tasks.evaluation.surface_distance import compare_surfaces
from tasks.evaluation.surface_points import surface_points

LEAST_VIEWS = 4
"""Two for each hull."""
MAX_SIDE = 128
"""Larger views are brought down, because hulls of so few voxels need no finer silhouettes."""
VOTE = 0.9
"""Share of a half's views that must see a point: one wrong view of 16 does not empty the hull."""
POINTS = 4000
"""Points of each hull whose distance from the other is measured."""
SHOWN_SIDE = 64
"""Pixels of the renders that are compared."""


def score_consistency(views: ViewSet, uid: str, resolution: int, seed: int) -> dict[str, float]:
    """Score how well the views of an object agree.

    Args:
        views: Predicted views; the targets count, where there are none the ring.
        uid: The object.
        resolution: Voxels along the side of the hulls.
        seed: For the points on the hulls.

    Returns:
        `consistency_chamfer` and `consistency_f_score` of the two hulls, and `consistency_psnr` in dB of renders of one
        against the other. Nothing where there are fewer than LEAST_VIEWS or a half encloses nothing.
    """
    cameras = views.cameras(uid, ViewKind.TARGET) or views.cameras(uid, ViewKind.RING)
    if len(cameras) < LEAST_VIEWS:
        return {}
    images = [views.image(uid, camera.name) for camera in cameras]
    halves = [_hull(cameras[start::2], images[start::2], resolution) for start in (0, 1)]
    even, odd = halves
    if even is None or odd is None:
        return {}
    rng = rng_for(seed, "consistency", uid)
    surface = compare_surfaces(surface_points(even, 4 * POINTS, rng), surface_points(odd, 4 * POINTS, rng), POINTS)
    return {
        "consistency_chamfer": surface.chamfer,
        "consistency_f_score": surface.f_score,
        "consistency_psnr": _psnr_of_renders(even, odd),
    }


def _hull(cameras: Sequence[Camera], images: Sequence[Image], resolution: int) -> Mesh | None:
    """The coloured visual hull of some views."""
    side = min(MAX_SIDE, images[0].shape[0])
    rgba = np.stack([resample(image, side) for image in images])
    poses = as_cameras(cameras, side)
    views = Views(rgba.astype(np.float32) / 255, poses.world_from_camera, poses.fov_deg)
    silhouettes = Silhouettes.of(views)
    hull = visual_hull(silhouettes, resolution=resolution, vote=VOTE, extent=enclosing_extent(silhouettes, VOTE))
    return None if hull.is_empty else extract_mesh(hull, views)


def _psnr_of_renders(one: Mesh, other: Mesh) -> float:
    """Mean PSNR over four views between the predicted azimuths; at most MAX_PSNR."""
    cameras = as_cameras(ring_cameras(views=4, elevation_deg=15.0, fov_deg=49.13, distance=1.5), SHOWN_SIDE)
    first, second = (on_white(torch.from_numpy(render_mesh_views(mesh, cameras) / 255)) for mesh in (one, other))
    return min(float(psnr(first, second).mean()), MAX_PSNR)
