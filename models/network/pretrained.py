"""Where published weights lie, whether they are what was asked for, and how loaded weights lie in memory."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.data.hub_weights import HubWeights
from models.data.weight_files import CONVERT, require_safetensors

ALIGNMENT = 64
"""Bytes; torch places every tensor that it allocates on the CPU at a multiple of it."""

Model = TypeVar("Model", bound=nn.Module)


def load_published(load: Callable[..., Model], name: str, **settings: Any) -> Model:
    """Call a class's `from_pretrained` for a local folder, or for weights at a hub, whose files are then checked.

    Args:
        load: The method.
        name: A folder, or what `models.data.hub_weights.HubWeights` reads; a branch is the commit it stands at now.
        settings: Further arguments of the method.

    Raises:
        ValueError: There is neither; a file is not what the hub says; or its weights are a pickle alone, where
            `settings` has use_safetensors.
    """
    is_safe = settings.get("use_safetensors", False)
    if Path(name).is_dir():
        if is_safe:
            require_safetensors(Path(name))
        return load(name, **settings)
    weights = HubWeights.parse(name).pinned()
    place = {"subfolder": weights.subfolder} if weights.subfolder else {}
    try:
        model = load(weights.repository, revision=weights.revision, **place, **settings)
    except OSError as error:
        if is_safe and "safetensors" in str(error):
            raise ValueError(f"{name} has no weights as .safetensors, and no pickle is read; {CONVERT}") from error
        raise
    weights.check_files()
    return model


def weights_sha256(model: nn.Module) -> str:
    """Return the SHA-256 of a model's weights: their names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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
