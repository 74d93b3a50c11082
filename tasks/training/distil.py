"""What the stage distil trains: a stage's training with another loss, assembled alike in every process."""

from dataclasses import dataclass

import torch

from models.config import DistilConfig
from models.network.multiview_unet import MultiViewUNet
from models.training.consistency import Segments
from models.training.distillation import Distillation, distillation_of
from models.training.distributed import Ranks
from tasks.training.stage import StageTraining


@dataclass(frozen=True)
class DistilTraining:
    """Assembles a distillation in any rank; pickles."""

    stage: StageTraining
    """Makes the student and its samples as those of a training stage; `previous` is the teacher."""
    config: DistilConfig

    def __call__(self, device: torch.device, ranks: Ranks) -> Distillation:
        """Return the trainable on `device`; its student is split among `ranks` if that is asked for, its teacher never.

        Raises ValueError when network, data and stage do not fit together.
        """
        assert self.stage.previous is not None, "distillation has a teacher"
        assert self.config.steps is not None, "whoever calls has seen to it"
        training = self.stage(device, ranks)
        teacher = MultiViewUNet.from_pretrained(self.stage.previous / "unet", use_safetensors=True).to(device)
        segments = Segments(training.diffusion, self.config.teacher_steps, self.config.steps)
        return distillation_of(training, teacher, segments)
