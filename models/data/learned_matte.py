"""Segments a photo with a salient-object network in ONNX, such as those that rembg uses (U2-Net, IS-Net, BiRefNet).

Runs the network files of rembg and not rembg itself, whose present releases need another NumPy than Blender does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from models.data.hub_weights import weights_file
from models.data.pixels import Pixels

Channels = tuple[float, float, float]
IMAGENET: tuple[Channels, Channels] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation that U2-Net and BiRefNet were trained with."""
HALVES: tuple[Channels, Channels] = ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
"""The same of IS-Net (rembg's sessions/dis_general_use.py)."""
USUAL_SIDE = 1024
"""Side in pixels for networks that take any size."""
REMEDY = (
    "name the ONNX file of a network, such as u2net.onnx or BiRefNet-general-epoch_244.onnx from "
    "https://github.com/danielgatis/rembg/releases/tag/v0.0.0, or owner/name@revision/file.onnx of the Hugging Face hub"
)


@dataclass(frozen=True)
class MatteNetwork:
    """A network that says of each pixel whether it belongs to what a photo is of."""

    session: Any
    """onnxruntime's session: RGB (1, 3, height, width) to a mask (1, 1, height, width)."""
    mean: Channels
    deviation: Channels

    def mask(self, photo: Pixels) -> Pixels:
        """Segment a photo, RGB (height, width, 3), and return the mask (height, width), 0 to 255."""
        given = self.session.get_inputs()[0]
        height, width = (side if isinstance(side, int) else USUAL_SIDE for side in given.shape[2:])
        small = np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS))
        normalized = (small / max(1.0, float(small.max())) - self.mean) / self.deviation
        found = self.session.run(None, {given.name: normalized.astype(np.float32).transpose(2, 0, 1)[None]})[0][0, 0]
        if found.min() < 0 or found.max() > 1:  # logits, as BiRefNet's
            found = 1 / (1 + np.exp(-found.astype(np.float64)))
        spread = (found - found.min()) / max(float(found.max() - found.min()), 1e-6)
        mask = Image.fromarray(np.rint(spread * 255).astype(np.uint8))
        return np.asarray(mask.resize((photo.shape[1], photo.shape[0]), Image.Resampling.BILINEAR))


def load_matte_network(name: str) -> MatteNetwork:
    """Load a network.

    Args:
        name: A file, or `owner/name/file.onnx` or `owner/name@revision/file.onnx` of the Hugging Face hub. IS-Net's
            preprocessing is taken where the file's name says isnet, otherwise U2-Net's and BiRefNet's.

    Raises:
        ValueError: onnxruntime is not installed, there is no such file, or it is no network.
        ConnectionError: The hub does not answer.
    """
    try:
        # an optional package
        import onnxruntime
    except ImportError:
        raise ValueError(
            "a learned matte needs the package onnxruntime, which is not installed: pip install onnxruntime"
        ) from None
    path = weights_file(name, REMEDY)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # foreign code whose exceptions have no common class
        raise ValueError(f"{path} is no network that onnxruntime can load: {error}") from error
    return MatteNetwork(session, *(HALVES if "isnet" in path.stem.lower() else IMAGENET))
