"""A distillation at toy size: teacher and student are networks of `tests.models.toy_diffusion`."""

from copy import deepcopy
from typing import Any

from models.data.latents import LatentSet
from models.network.initialization import seeded_weights
from models.training.consistency import Segments
from models.training.diffusion import DiffusionTraining
from models.training.distillation import Distillation, distillation_of
from tests.models.toy_diffusion import make_training
from tests.models.toy_models import fill_zeros

POINTS, STEPS = 20, 4


def make_distillation(latents: LatentSet, micro_batch: int | None = None, **plan: Any) -> Distillation:
    """The student begins as the teacher, in which no weight is zero."""
    training = make_training(latents, micro_batch, **plan)
    with seeded_weights(1):
        fill_zeros(training.model)
    return distilled_from(training)


def distilled_from(training: DiffusionTraining, num_points: int = POINTS, num_segments: int = STEPS) -> Distillation:
    """The distillation of a training's network, as it is, by the training's samples."""
    return distillation_of(training, deepcopy(training.model), Segments(training.diffusion, num_points, num_segments))
