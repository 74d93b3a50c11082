"""Consistency within segments of the diffusion process: what a network learns that is to draw in a few steps.

The ODE of the process is followed on a grid of timesteps, which segments of equal length divide. The student learns the
mean velocity from any point of a segment to the segment's beginning, so that one step of DDIM (Song et al. 2021)
crosses the whole segment: consistency distillation (Song et al. 2023; Luo et al. 2023, in latents) in each segment, as
in multistep consistency models (Heek et al. 2024). Knows no network and no data.

The process preserves variance, z_t = cos(angle_t) z_0 + sin(angle_t) eps, and a step of DDIM by a velocity v turns the
latents: z_s = cos(angle_t - angle_s) z_t - sin(angle_t - angle_s) v (Salimans and Ho 2022, app. D).
"""

# Shapes: B sample, V view, C latent channel, H and W latent size, G point of the grid

from collections.abc import Callable

import torch
from torch import Tensor

from models.network.noise import Diffusion

Velocity = Callable[[Tensor, Tensor], Tensor]
"""Predicts v (B, V, C, H, W) of noisy latents (B, V, C, H, W) at timesteps (B,)."""


class Segments:
    """The grid of timesteps that distillation follows, and the segments that a step of sampling crosses.

    Point 0 has no noise; point g is the timestep g T / G - 1 of T timesteps and G points, so the last is the noisiest.

    Args:
        diffusion: The process.
        num_points: G, the steps of the teacher from noise to latents.
        num_segments: Steps of the student.

    """

    def __init__(self, diffusion: Diffusion, num_points: int, num_segments: int) -> None:
        timesteps = diffusion.config.timesteps
        assert timesteps % num_points == num_points % num_segments == 0, "DistilConfig.check has refused it"
        self.stride, self.length = timesteps // num_points, num_points // num_segments
        reached = torch.arange(1, num_points + 1) * self.stride - 1
        angles_G = torch.atan2(diffusion.sigma[reached], diffusion.alpha[reached])
        self._angle = torch.cat([angles_G.new_zeros(1), angles_G])  # float64
        self._of_device: dict[torch.device, Tensor] = {}

    def point_of(self, timestep_B: Tensor) -> Tensor:
        """The point of the grid, 1 to G, of the interval that a timestep lies in: uniform if the timestep is."""
        return timestep_B // self.stride + 1

    def timestep_of(self, point_B: Tensor) -> Tensor:
        """The timestep of a point; 0 for point 0, which has none."""
        return (point_B * self.stride - 1).clamp(min=0)

    def start_of(self, point_B: Tensor) -> Tensor:
        """The point at which the segment of a point above 0 begins; the end of a segment belongs to it."""
        return (point_B - 1) // self.length * self.length

    def step(self, latents_BVCHW: Tensor, velocity_BVCHW: Tensor, from_B: Tensor, to_B: Tensor) -> Tensor:
        """A step of DDIM between points of the grid."""
        cosine, sine = self._turn(from_B, to_B, latents_BVCHW)
        return cosine * latents_BVCHW - sine * velocity_BVCHW

    def velocity(self, latents_BVCHW: Tensor, reached_BVCHW: Tensor, from_B: Tensor, to_B: Tensor) -> Tensor:
        """The velocity with which `step` reaches given latents, between different points."""
        cosine, sine = self._turn(from_B, to_B, latents_BVCHW)
        return (cosine * latents_BVCHW - reached_BVCHW) / sine

    @torch.no_grad()
    def target(self, noisy_BVCHW: Tensor, point_B: Tensor, teacher: Velocity, student: Velocity) -> Tensor:
        """The velocity that the student shall predict at a point; no gradient flows into what it is made of.

        The teacher moves one interval along the ODE; from there the student's own prediction leads to the beginning of
        the segment, and from the point itself the same place must be reached.

        Args:
            noisy_BVCHW: Latents at the points.
            point_B: Points 1 to G.
            teacher: The velocity of the process.
            student: The student's present velocity, without weight where the teacher reaches the beginning.
        """
        before_B, start_B = point_B - 1, self.start_of(point_B)
        velocity_BVCHW = teacher(noisy_BVCHW, self.timestep_of(point_B))
        moved_BVCHW = self.step(noisy_BVCHW, velocity_BVCHW, point_B, before_B)
        ahead_BVCHW = student(moved_BVCHW, self.timestep_of(before_B))
        reached_BVCHW = self.step(moved_BVCHW, ahead_BVCHW, before_B, start_B)
        return self.velocity(noisy_BVCHW, reached_BVCHW, point_B, start_B)

    def _turn(self, from_B: Tensor, to_B: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        if from_B.device not in self._of_device:
            self._of_device[from_B.device] = self._angle.to(from_B.device)
        angles = self._of_device[from_B.device]
        turned_B = (angles[from_B] - angles[to_B]).view(-1, *[1] * (like.ndim - 1))
        return turned_B.cos().to(like), turned_B.sin().to(like)
