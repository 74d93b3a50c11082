"""Distils a trained multi-view UNet into one that draws in a few steps. Knows no files and no clock."""

# Shapes: B sample, K condition view, T target, V = K + T view (conditions first), C latent channel,
# H and W latent size

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

from torch import Tensor

from models.data.samples import Samples
from models.network.multiview_unet import MultiViewUNet
from models.network.scheduler_names import SchedulerName
from models.training.consistency import Segments
from models.training.cost import SampleCost, count_parameters
from models.training.diffusion import DiffusionTraining
from models.training.emulated_autocast import Device

PASSES = 5 / 3
"""Operations over those of a diffusion training, whose backward pass takes those of two forward passes: teacher and
student pass forward once more each."""
SAMPLER: SchedulerName = "ddim"
"""Its steps cross the segments."""


@dataclass(frozen=True, kw_only=True)
class Distillation(DiffusionTraining):
    """Distils a network (models.training.consistency); satisfies `models.training.trainable.Trainable`.

    Samples are those of a diffusion training: all views of an object are one, with one timestep, which the grid rounds
    up. The loss is the squared error of the velocity, weighted and averaged over views as there.
    """

    teacher: MultiViewUNet
    """The frozen network, on the device of `model`, which began with its weights."""
    segments: Segments

    @property
    def frozen_parameters(self) -> int:
        """Those of the teacher."""
        return count_parameters(self.teacher)

    def sample_losses(self, samples: Samples) -> Tensor:
        """The distance of each sample (B,) from consistency, a mean over its views."""
        samples = samples.to(self.white_CHW.device)
        point_B = self.segments.point_of(samples.timestep_B)
        samples = replace(samples, timestep_B=self.segments.timestep_of(point_B))
        conditioning = self.conditioning(samples)
        noisy_BVCHW = self.diffusion.add_noise(samples.clean_BVCHW, samples.noise_BVCHW, samples.timestep_B)
        teacher, student = (
            partial(self.predict, unet, conditioning=conditioning) for unet in (self.teacher, self.model)
        )
        target_BVCHW = self.segments.target(noisy_BVCHW, point_B, teacher, student)
        predicted_BVCHW = student(noisy_BVCHW, samples.timestep_B)
        return self.mean_square(predicted_BVCHW - target_BVCHW, samples)

    def sample_tflop(self, sample_ids: Sequence[int]) -> Sequence[float]:
        """10^12 operations of each sample: student forward and backward, student and teacher forward."""
        return [PASSES * tflop for tflop in super().sample_tflop(sample_ids)]

    def cost(self, autocast: Device | None) -> SampleCost:
        """Cost of a sample with the largest number of condition views; what passes without gradient keeps nothing."""
        cost = super().cost(autocast)
        return replace(cost, tflop=PASSES * cost.tflop)


def distillation_of(training: DiffusionTraining, teacher: MultiViewUNet, segments: Segments) -> Distillation:
    """Return the distillation of a teacher into a training's network, by the training's samples.

    Args:
        training: Its network is the student.
        teacher: On the device of the student; put into evaluation mode, its weights need no gradients any more.
        segments: What the student learns to cross in a step.
    """
    teacher.requires_grad_(requires_grad=False).eval()
    sampler = None if training.sampler is None else replace(training.sampler, scheduler=SAMPLER)
    same = {field.name: getattr(training, field.name) for field in fields(training)}
    return Distillation(**same | {"sampler": sampler}, teacher=teacher, segments=segments)
