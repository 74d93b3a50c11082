"""Where published weights lie, whether they are what params.yaml says, and how loaded weights lie in memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

ALIGNMENT = 64
"""Bytes; torch places every tensor that it allocates on the CPU at a multiple of it."""

Model = TypeVar("Model", bound=nn.Module)


def locate(name: str) -> dict[str, str]:
    """Arguments of `from_pretrained` for a local folder, a hub id `owner/name`, or `owner/name/subfolder`."""
    parts = name.split("/", 2)
    if Path(name).is_dir() or len(parts) < 3:
        return {"pretrained_model_name_or_path": name}
    if name.startswith((".", "/")):
        raise ValueError(f"{name} is no folder; name an existing folder, or a hub id such as owner/name/subfolder")
    return {"pretrained_model_name_or_path": "/".join(parts[:2]), "subfolder": parts[2]}


def forget_origin(model: Any) -> None:
    """Drop the folder a diffusers model was loaded from out of its config: saved models hold no paths."""
    model.register_to_config(_name_or_path="")


def require_equal(wanted: Mapping[str, Any], found: Mapping[str, Any], source: str) -> None:
    """Raise ValueError for the first key of `wanted` whose value in `found` is another one."""
    for key, value in wanted.items():
        if value != found[key]:
            raise ValueError(f"{key} is {value} but {source} has {found[key]}; write that, or train from scratch")


def align(model: Model) -> Model:
    """Move parameters and buffers that lie at addresses which torch would not allocate, and return the model.

    Weights loaded from a safetensors file stay mapped from it, at any multiple of their item size. Matrix products of
    few rows round otherwise there, so a loaded model would not compute the bits of the same model in memory. What is
    aligned, lies on another device, is on `meta` or is no plain tensor (sharded, quantized) stays where it is; tensors
    that shared memory share it afterwards.
    """
    moved: dict[tuple[object, ...], Tensor] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        data = tensor.data
        if type(data) is not Tensor or data.device.type != "cpu" or data.data_ptr() % ALIGNMENT == 0:
            continue
        place = (data.data_ptr(), data.dtype, data.shape, data.stride())
        tensor.data = moved.setdefault(place, data.clone())
    return model
