"""The names of the samplers and how many steps they take, for whoever offers them without loading diffusers."""

from typing import Literal

SchedulerName = Literal["ddpm", "ddim", "dpmsolver++", "unipc"]
FAST_SCHEDULER: SchedulerName = "unipc"
"""Draws where nobody has chosen: of the second order, so that few steps come close to the process's ODE."""
FAST_STEPS = 20
PAPER_STEPS = 75
"""Of DDPM (sec. 6)."""
