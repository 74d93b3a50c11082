"""Masks of views by cameras that the test set has no view of, compared with silhouettes of the true mesh.

Only the mask can be compared there: the true mesh has no colours, and the true views show other sides.
"""

import math
from collections.abc import Sequence

import numpy as np

from models.reconstruction.mesh import Mesh
from render.images import COVERED
from tasks.peers.layout import PeerView
from tasks.peers.pictures_of_meshes import silhouette

SCALE_STEPS = 3
"""Corrections of the scale; each leaves less than a tenth of the error of the one before."""


def own_mask_iou(views: Sequence[PeerView], mesh: Mesh, *, fits_scale: bool) -> float:
    """Return the mean intersection over union of the views' masks and the true mesh's silhouettes.

    Args:
        views: With their cameras, in the frame of the mesh.
        mesh: The true mesh.
        fits_scale: Whether the views' scale is unknown. All cameras of the object are then enlarged by one factor that
            makes the masks' areas agree in sum.
    """
    masks = [view.rgba[..., 3] > COVERED for view in views]
    cameras = [view.camera for view in views]
    for _ in range(SCALE_STEPS if fits_scale else 0):
        covered = sum(silhouette(mesh, camera, len(mask)).sum() for camera, mask in zip(cameras, masks, strict=True))
        factor = math.sqrt(sum(mask.sum() for mask in masks) / covered) if covered else 1.0
        cameras = [camera.enlarged(factor or 1.0) for camera in cameras]
    pairs = zip(masks, cameras, strict=True)
    return float(np.mean([_iou(mask, silhouette(mesh, camera, len(mask))) for mask, camera in pairs]))


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0
