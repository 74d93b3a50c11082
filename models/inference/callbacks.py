"""What happens after each step of a call of the pipeline: progress bar and the caller's functions."""

# Shapes: B sample, T target, C latent channel, H and W latent size

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

TENSOR_INPUTS = ("latents",)
"""What a callback can ask for."""


@dataclass(frozen=True)
class StepCallbacks:
    """Passes a step on to whoever wants to know of it; satisfies `models.inference.sampling.OnStep`.

    Args:
        pipeline: Handed to `on_step_end`.
        on_step: Called with the number of the step, from 1, and the latents.
        on_step_end: Called as diffusers calls it: pipeline, number of the step from 0, timestep, dict of tensors.
        tensor_inputs: Names of the tensors in that dict.

    Raises:
        ValueError: `tensor_inputs` has a name that there is not.
    """

    pipeline: Any
    on_step: Callable[[int, Tensor], None] | None
    on_step_end: Callable[..., Mapping[str, Tensor] | None] | None
    tensor_inputs: Sequence[str]

    def __post_init__(self) -> None:
        if not set(self.tensor_inputs) <= set(TENSOR_INPUTS):
            raise ValueError(
                f"callback_on_step_end_tensor_inputs is {list(self.tensor_inputs)}; what a callback can ask for is "
                f"{list(TENSOR_INPUTS)}"
            )

    def __call__(self, step: int, timestep: Tensor, latents_BTCHW: Tensor) -> Tensor:
        """Call them; return the latents to go on with.

        Raises:
            ValueError: `on_step_end` returned something else than latents of the same shape in a dict.
        """
        if self.on_step is not None:
            self.on_step(step, latents_BTCHW)
        if self.on_step_end is None:
            return latents_BTCHW
        returned = self.on_step_end(self.pipeline, step - 1, timestep, dict.fromkeys(self.tensor_inputs, latents_BTCHW))
        if returned is None:
            return latents_BTCHW
        if not isinstance(returned, Mapping):
            raise ValueError(f"callback_on_step_end returned a {type(returned).__name__}; return its dict, or None")
        latents = returned.get("latents", latents_BTCHW)
        if not isinstance(latents, Tensor) or latents.shape != latents_BTCHW.shape:
            found = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
            wanted = tuple(latents_BTCHW.shape)
            raise ValueError(f"callback_on_step_end returned latents {found}; they must stay {wanted}")
        return latents.to(latents_BTCHW)
