"""How many views must agree on the foreground, measured: the vote whose hull fits the silhouettes best."""

# Shapes: V view, K voxel, P = side of the small images in pixels

import numpy as np
import numpy.typing as npt
import torch

from models.reconstruction.hull import centres_of_voxels
from models.reconstruction.silhouettes import Silhouettes
from models.reconstruction.views import Cameras, Floats, Views

LEAST_VOTE = 0.75
"""The lowest vote tried: hulls of fewer views are inflated more than any single wrong silhouette carves."""
RESOLUTION = 64
"""Voxels along the cube's side of the hulls that are compared."""
SIDE = 64
"""Pixels of the images in which hulls and silhouettes are compared: a voxel is smaller than a pixel."""
TOLERANCE = 0.005
"""Overlap that a lower vote must win: it inflates the hull of consistent views."""


def measured_vote(views: Views, silhouettes: Silhouettes, extent: float) -> float:
    """Choose the share of the views that must see a point as foreground.

    For each number of dissenting views, from none to a quarter, the hull is projected back into all views; its overlap
    with the given silhouettes (mean IoU) measures their consistency. The strictest vote is taken whose overlap comes
    within TOLERANCE of the best: 1 for the views of a true object, less where single views lack parts.

    Args:
        views: Posed images with alpha.
        silhouettes: Of these views.
        extent: Half the side of the cube around the origin that holds the object, in world units.
    """
    count = len(views.rgba)
    dissenting = int((1 - LEAST_VOTE) * count)
    points_K3 = centres_of_voxels(RESOLUTION, extent)
    slack = extent / RESOLUTION  # half a voxel: thin parts lie between centres
    inside_VK = torch.cat([distance_VK > -slack for distance_VK in silhouettes.sample(points_K3)], dim=1)
    against_K = (~inside_VK).sum(dim=0)
    held_K = against_K <= dissenting
    fewest_VPP = _fewest_against(points_K3[held_K].numpy(), against_K[held_K].numpy(), views.cameras)
    side = fewest_VPP.shape[1]
    alpha = torch.from_numpy(np.ascontiguousarray(views.rgba[..., 3]))
    truth_VPP = torch.nn.functional.adaptive_avg_pool2d(alpha, side).numpy() > 0.5
    overlaps = [_mean_iou(fewest_VPP <= allowed, truth_VPP) for allowed in range(dissenting + 1)]
    chosen = next(allowed for allowed, overlap in enumerate(overlaps) if overlap >= max(overlaps) - TOLERANCE)
    return 1 - chosen / count


def _fewest_against(points_K3: Floats, against_K: npt.NDArray[np.int64], cameras: Cameras) -> npt.NDArray[np.int64]:
    """Per pixel (V, P, P), the fewest views that dissent about any point in it; V + 1 where there is no point."""
    small = Cameras(cameras.world_from_camera, cameras.fov_deg, min(SIDE, cameras.side))
    fewest = np.full((len(small), small.side, small.side), len(small) + 1)
    for view in range(len(small)):
        pixels, depth = small.project(view, points_K3)
        column, row = np.floor(pixels).astype(int).T
        is_shown = (np.minimum(column, row) >= 0) & (np.maximum(column, row) < small.side) & (depth > 0)
        np.minimum.at(fewest[view], (row[is_shown], column[is_shown]), against_K[is_shown])
    return fewest


def _mean_iou(shown_VPP: npt.NDArray[np.bool_], truth_VPP: npt.NDArray[np.bool_]) -> float:
    both, either = (shown_VPP & truth_VPP).sum(axis=(1, 2)), (shown_VPP | truth_VPP).sum(axis=(1, 2))
    return float((both / np.maximum(either, 1)).mean())
