"""What the pipeline hands out, in the forms that users of diffusers know."""

# Shapes: B sample, T target, C latent channel, H and W latent or image size

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from diffusers.utils.outputs import BaseOutput
from PIL import Image
from torch import Tensor

from models.data.images import to_arrays
from models.inference.targets import TargetCamera

OutputType = Literal["pil", "np", "pt", "latent"]


@dataclass
class MVDiffusionOutput(BaseOutput):
    """Generated views of one or several objects; `to_tuple` has them in the order of the fields."""

    images: Any
    """T views in the order of `target_ids`, RGBA with straight alpha: a list of PIL images, an array (T, H, W, 4) or a
    tensor (T, 4, H, W), float32 from 0 to 1; for several objects or samples a list of such. Empty for "latent"."""
    target_ids: list[int]
    """Ids of the targets."""
    cameras: list[TargetCamera]
    """The camera of each view; azimuths count from the first condition image's."""
    latents: Tensor
    """(B, T, C, H, W) scaled latents, float32; B counts objects and, inside of each, samples."""


def check_output_type(output_type: Any) -> None:
    """Raise ValueError unless views can be handed out as `output_type`."""
    if output_type not in get_args(OutputType):
        raise ValueError(f"output_type is {output_type!r}; give one of {', '.join(get_args(OutputType))}")


def in_form(rgba_T4HW: Tensor, output_type: OutputType) -> Any:
    """Convert views in [0, 1] to a list of PIL images ("pil"), to an array (T, H, W, 4) ("np") or leave them ("pt")."""
    if output_type == "pil":
        return [Image.fromarray(array) for array in to_arrays(rgba_T4HW)]
    clamped = rgba_T4HW.clamp(0, 1).to("cpu", torch.float32)
    return clamped if output_type == "pt" else clamped.permute(0, 2, 3, 1).numpy()
