"""Reads files of weights without running what they may hold besides."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of weights: .safetensors, or a state dict that torch saved; of the latter tensors alone, no code.

    Raises:
        ValueError: It is neither.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as weights; give a .safetensors file or a state dict") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ValueError(f"{path} holds other things than tensors; give a .safetensors file or a state dict")
    return tensors
