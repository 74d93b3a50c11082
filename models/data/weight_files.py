"""Reads files of weights without running what they may hold besides."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

PICKLED = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
"""Endings of files that hold weights as pickles, whose reading may run code of whoever wrote them."""
CONVERT = (
    "ask its publisher for .safetensors, or convert it where nothing else is at stake: "
    "safetensors.torch.save_file(torch.load(FILE, weights_only=True), NAME.safetensors)"
)


def require_safetensors(folder: Path) -> None:
    """Raise ValueError when a part of a model folder has weights as a pickle and none as safetensors.

    Args:
        folder: A saved model or pipeline, with its parts in folders below.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICKLED and not any(path.parent.glob("*.safetensors")):
            raise ValueError(f"{path} is a pickle, which may run code when it is read, and is not read here; {CONVERT}")


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
