"""Images per second of the aesthetic predictor: `python -m tests.bench.aesthetic`.

Networks of CLIP ViT-L/14's and the published head's size with random weights, images of noise in PNG files in memory,
as view sets have them. One process; on a CPU one thread, as a worker of the pool has.
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.inference.precision import DTYPES
from models.network.aesthetic_predictor import AestheticPredictor
from tests.models.aesthetic_networks import write_encoder, write_full_encoder, write_head


def main(words: Sequence[str] | None = None) -> None:
    """Print seconds an image of decoding with preprocessing, and of the networks."""
    arguments = _parser().parse_args(words)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        write = write_full_encoder if arguments.width == "full" else write_encoder
        encoder, head = write(Path(scratch) / "encoder"), write_head(Path(scratch) / "head.pth")
        predictor = AestheticPredictor.load(
            str(encoder), head, device=arguments.device, dtype=DTYPES[arguments.precision]
        )
    files = [_png(number, arguments.side) for number in range(arguments.images)]
    predictor.score(predictor.preprocess([Image.open(io.BytesIO(files[0]))]))  # what is set up at the first call
    read = score = 0.0
    for start in range(0, len(files), arguments.batch):
        before = _now(arguments.device)
        pixels = predictor.preprocess(
            [Image.open(io.BytesIO(file)).convert("RGBA") for file in files[start : start + arguments.batch]]
        )
        between = _now(arguments.device)
        predictor.score(pixels)
        read, score = read + between - before, score + _now(arguments.device) - between
    count = len(files)
    sys.stdout.write(f"{count} images of {arguments.side} px, {arguments.device}, {arguments.precision}: ")
    sys.stdout.write(f"reading {read / count:.4f} s an image, networks {score / count:.4f} s, ")
    sys.stdout.write(f"{count / (read + score):.2f} images a second\n")


def _png(seed: int, side: int) -> bytes:
    small = np.random.default_rng(seed).integers(0, 256, (side // 8, side // 8, 4), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(small).resize((side, side)).save(stream, "PNG")
    return stream.getvalue()


def _now(device: str) -> float:
    """Return processor seconds of this process; with a card seconds of the clock, when it has done what it was told."""
    if torch.device(device).type != "cuda":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.aesthetic", description=__doc__)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8, help="images that are embedded at once")
    parser.add_argument("--side", type=int, default=512, help="of the images, in pixels")
    parser.add_argument("--width", choices=("full", "small"), default="full", help="small: to try the command")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--precision", choices=tuple(DTYPES), default="fp32")
    return parser


if __name__ == "__main__":
    main()
