"""The names of the samplers, for whoever offers them without loading diffusers."""

from typing import Literal

SchedulerName = Literal["ddpm", "ddim", "dpmsolver++", "unipc"]
