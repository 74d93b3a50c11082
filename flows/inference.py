"""How networks compute for a command that samples outside of the pipeline, by profile and machine."""

from infra.machine import torch_device
from infra.profile import check_kernel_on, load_profile, precision_on
from tasks.commands.sampler import Compute


def inference_compute(profile: str, device: str | None = None, attention_chunk: int | None = None) -> Compute:
    """Return how the networks compute.

    Args:
        profile: Name or file of the profile.
        device: torch device; None: a GPU if there is one.
        attention_chunk: Tokens that attention takes at once, instead of the profile's kernel.

    Raises:
        ValueError: The device cannot do what the profile says.
    """
    device = device or torch_device()
    settings = load_profile(profile)
    precision = precision_on(device, settings.inference_precision)
    if attention_chunk is None:
        check_kernel_on(device, settings.attention_kernel, precision)
    return Compute(device, precision, settings.attention_kernel, attention_chunk)
