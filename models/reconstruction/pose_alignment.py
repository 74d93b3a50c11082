"""Brings poses of an arbitrary frame, such as structure from motion gives, to the frame of the true poses."""

# Shapes: K view

import numpy as np
import numpy.typing as npt

ONE_POINT = 1e-9
"""Spread of centres, in units of their own frame, that is only rounding."""
Poses = npt.NDArray[np.float64]


def align_poses(estimated_K44: Poses, true_K44: Poses) -> Poses:
    """Apply the similarity that brings estimated cameras nearest to the true ones.

    The rotation is the mean over the views of what turns an estimated camera to its true one; the scale makes the
    centres spread alike (Horn 1987, sec. 2.E), and their means meet. So two views suffice; centres alone need three.

    Args:
        estimated_K44: Poses `world_from_camera` of K >= 2 views in any frame.
        true_K44: Poses of the same views.

    Returns the estimated poses (K, 4, 4) in the true frame.

    Raises ValueError where all estimated centres coincide, so that they have no scale.
    """
    turned = np.einsum("kij,klj->il", true_K44[:, :3, :3], estimated_K44[:, :3, :3])
    left, _, right = np.linalg.svd(turned)
    rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    wanted, given = true_K44[:, :3, 3], estimated_K44[:, :3, 3] @ rotation.T
    spread, wanted_spread = given - given.mean(axis=0), wanted - wanted.mean(axis=0)
    if np.linalg.norm(spread) < ONE_POINT:
        raise ValueError(f"the {len(given)} estimated cameras stand in one point, which gives no scale")
    scale = float(np.linalg.norm(wanted_spread) / np.linalg.norm(spread))
    aligned = np.tile(np.eye(4), (len(given), 1, 1))
    aligned[:, :3, :3] = rotation @ estimated_K44[:, :3, :3]
    aligned[:, :3, 3] = scale * spread + wanted.mean(axis=0)
    return aligned
