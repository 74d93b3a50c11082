"""Poses of another frame come back to the true one."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from models.reconstruction.pose_alignment import align_poses
from render.cameras import Camera

TRUE = np.stack([Camera(f"c{k}", 70.0 * k, 12.0 * k, 1.5 + 0.1 * k, 60.0).world_from_camera for k in range(4)])


def elsewhere(poses: np.ndarray) -> np.ndarray:
    """The same cameras in a frame that is turned, moved and 3.7 times as large."""
    turn = Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix()
    moved = poses.copy()
    moved[:, :3, :3] = turn @ poses[:, :3, :3]
    moved[:, :3, 3] = 3.7 * poses[:, :3, 3] @ turn.T + [5.0, -2.0, 0.3]
    return moved


@pytest.mark.parametrize("count", [2, 3, 4])
def test_align_poses_of_another_frame_gives_the_true_ones(count: int) -> None:
    np.testing.assert_allclose(align_poses(elsewhere(TRUE[:count]), TRUE[:count]), TRUE[:count], atol=1e-9)


def test_align_poses_with_errors_keeps_their_mean_right() -> None:
    wrong = TRUE.copy()
    for number, degrees in enumerate((4.0, -4.0, 4.0, -4.0)):
        turn = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
        wrong[number, :3, :3] = turn @ TRUE[number, :3, :3]
    aligned = align_poses(elsewhere(wrong), TRUE)
    np.testing.assert_allclose(aligned[:, :3, 3], TRUE[:, :3, 3], atol=1e-9)
    turned = Rotation.from_matrix(aligned[:, :3, :3] @ TRUE[:, :3, :3].transpose(0, 2, 1)).as_rotvec(degrees=True)
    np.testing.assert_allclose(turned, [[0, 0, 4], [0, 0, -4], [0, 0, 4], [0, 0, -4]], atol=1e-6)


def test_align_poses_of_one_place_says_that_they_have_no_scale() -> None:
    with pytest.raises(ValueError, match="3 estimated cameras stand in one point"):
        align_poses(np.tile(TRUE[:1], (3, 1, 1)), TRUE[:3])
