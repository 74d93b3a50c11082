"""Networks in ONNX as mattes; a toy network, written by hand, stands for the published ones."""

import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from models.data.learned_matte import load_matte_network

HAS_ONNXRUNTIME = find_spec("onnxruntime") is not None
needs_onnxruntime = pytest.mark.skipif(not HAS_ONNXRUNTIME, reason="pip install onnxruntime")


def field(number: int, content: bytes | str | int) -> bytes:
    """One field of a protobuf message."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    content = content.encode() if isinstance(content, str) else content
    length = len(content)
    prefix = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return bytes([number << 3 | 2]) + prefix + content


def value(name: str, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dimensions)))


def write_reddest(path: Path, side: int) -> None:
    """A network (1, 3, side, side) to (1, 1, side, side) whose logit is red minus green minus blue."""
    weights = struct.pack("<3f", 9.0, -9.0, -9.0)
    tensor = b"".join(field(1, size) for size in (1, 3, 1, 1)) + field(2, 1) + field(8, "w") + field(9, weights)
    node = field(1, "photo") + field(1, "w") + field(2, "mask") + field(4, "Conv")
    graph = field(1, node) + field(2, "g") + field(5, tensor)
    graph += field(11, value("photo", (1, 3, side, side))) + field(12, value("mask", (1, 1, side, side)))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 13)))


@needs_onnxruntime
@pytest.mark.parametrize("name", ["u2net.onnx", "isnet-general-use.onnx"])
def test_matte_network_from_a_file_segments_at_the_photos_size(tmp_path: Path, name: str) -> None:
    write_reddest(tmp_path / name, 96)
    photo = np.full((90, 120, 3), (90, 140, 90), dtype=np.uint8)
    photo[30:60, 40:80] = (220, 40, 40)
    mask = load_matte_network(str(tmp_path / name)).mask(photo)
    truth = np.zeros((90, 120), dtype=bool)
    truth[30:60, 40:80] = True
    assert mask.shape == (90, 120)
    assert ((mask > 127) & truth).sum() / ((mask > 127) | truth).sum() > 0.8
    assert mask[5, 5] < 60
    assert mask.max() == 255


@needs_onnxruntime
def test_matte_network_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ValueError, match=r"text\.onnx is no network that onnxruntime can load"):
        load_matte_network(str(tmp_path / "text.onnx"))
    with pytest.raises(ValueError, match=r"u2net\.onnx does not exist; name the ONNX file of a network"):
        load_matte_network(str(tmp_path / "u2net.onnx"))


@pytest.mark.skipif(HAS_ONNXRUNTIME, reason="onnxruntime is installed")
def test_matte_network_without_onnxruntime_says_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"needs the package onnxruntime, which is not installed: pip install"):
        load_matte_network("u2net.onnx")
