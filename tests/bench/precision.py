"""What bfloat16 changes in latents and views: `python -m tests.bench.precision [--model FOLDER --views FOLDER]`.

Without a model: the VAE of the paper's size with random weights, whose colours are brought to the mean and spread of
pictures. With one: what it draws and encodes of test objects. float32 is the truth, from the same noise.
"""

import argparse
import copy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn.functional import interpolate

from models.data.images import as_unit_tensor
from models.inference.pipeline import MVDiffusionPipeline, load_pipeline
from models.losses.metrics import psnr
from models.network.image_encoder import embed_images
from models.network.initialization import seeded_weights
from models.network.mask_vae import decode_on_white, posterior_moments
from render.views import ViewKind
from tasks.artifacts.views import ViewSet
from tests.bench.paper_times_worker import vae as random_vae

HALF = torch.bfloat16


def main(words: Sequence[str] | None = None) -> None:
    """Print a table with a row for each network and quantity."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.precision", description=__doc__)
    parser.add_argument("--width", choices=("full", "toy"), default="full")
    parser.add_argument("--side", type=int, default=128, help="pixels of the pictures for the random VAE")
    parser.add_argument("--model", type=Path, help="a saved pipeline, such as models_out/stage3")
    parser.add_argument("--views", type=Path, help="a view set, such as data/test_views")
    parser.add_argument("--scheduler", choices=("ddpm", "ddim", "dpmsolver++", "unipc"), default="unipc")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args(words)
    if (arguments.model is None) != (arguments.views is None):
        parser.error("give both --model and --views, or neither")
    sys.stdout.write("| network | what | in bfloat16 | dB |\n| --- | --- | --- | --- |\n")
    rows = of_random_vae(arguments.width, arguments.side) if arguments.model is None else of_model(arguments)
    for row in rows:
        sys.stdout.write(f"| {' | '.join(row[:3])} | {row[3]:.1f} |\n")
        sys.stdout.flush()


def of_random_vae(width: str, side: int) -> Iterator[tuple[str, str, str, float]]:
    """Decoding and encoding by a VAE without training."""
    with seeded_weights(0):
        vae = random_vae(width).eval()
    rng = torch.Generator().manual_seed(0)
    smooth = interpolate(torch.rand(2, 4, 9, 9, generator=rng), side, mode="bicubic").clamp(0, 1)
    moments = posterior_moments(vae, smooth)
    half = copy.deepcopy(vae).to(HALF)
    latents = torch.randn(moments[:, : moments.shape[1] // 2].shape, generator=rng)
    with torch.no_grad():
        exact, found = (one.decode(latents.to(one.dtype)).sample[:, :3].float() for one in (vae, half))
    spread, mean = exact.std(), exact.mean()  # to those of pictures, 0.25 about 0.5, as PSNR counts from 0 to 1
    exact, found = ((one - mean) / spread / 4 + 0.5 for one in (exact, found))
    name = f"VAE, {width} width, random"
    yield name, "decoded colours, PSNR", "VAE", psnr(found.clamp(0, 1), exact.clamp(0, 1)).mean().item()
    yield from _moments_compared(name, moments, posterior_moments(half, smooth).float())


def of_model(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str, float]]:
    """Encoding, decoding and drawing by a model, means over all objects of a view set."""
    views, name = ViewSet.open(arguments.views), arguments.model.name
    exact, mixed = (
        load_pipeline(arguments.model, scheduler=arguments.scheduler, device="cpu", dtype=dtype)
        for dtype in (torch.float32, HALF)
    )
    vae = copy.deepcopy(exact.vae).to(HALF)
    everything = MVDiffusionPipeline(**mixed.components | {"vae": vae})
    everything.set_progress_bar_config(disable=True)
    pixels = np.concatenate([views.images(uid, views.names(uid, ViewKind.CONDITION)) for uid in views.uids])
    given = as_unit_tensor(pixels, torch.device("cpu"))
    yield from _moments_compared(name, *(posterior_moments(one, given).float() for one in (exact.vae, vae)))
    embeds = [embed_images(one.image_encoder, one.feature_extractor, list(pixels)).float() for one in (exact, mixed)]
    yield name, "embeddings, error below spread", "image encoder", _below_spread(*embeds)
    drawn = {kind: _drawn(one, views, arguments.steps) for kind, one in (("exact", exact), ("mixed", mixed))}
    yield name, "decoded views, PSNR", "VAE", _decoded_alike(drawn["exact"], exact.vae, drawn["exact"], vae)
    what = f"drawn views, PSNR, {arguments.scheduler} {arguments.steps}"
    yield name, what, "UNet, image encoder", _decoded_alike(drawn["exact"], exact.vae, drawn["mixed"], exact.vae)
    half = _drawn(everything, views, arguments.steps)
    yield name, what, "all", _decoded_alike(drawn["exact"], exact.vae, half, vae)


def _drawn(pipeline: Any, views: ViewSet, steps: int) -> Tensor:
    """Latents of all targets of every object, from its first condition view and always the same noise."""
    latents = [
        pipeline(
            list(views.images(uid, views.names(uid, ViewKind.CONDITION)[:1])),
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).latents
        for uid in views.uids
    ]
    return torch.cat(latents).flatten(0, 1)


@torch.no_grad()
def _decoded_alike(exact: Tensor, exact_vae: AutoencoderKL, found: Tensor, vae: AutoencoderKL) -> float:
    """Mean PSNR of views on white."""
    return psnr(decode_on_white(vae, found)[0], decode_on_white(exact_vae, exact)[0]).mean().item()


def _moments_compared(name: str, exact: Tensor, found: Tensor) -> Iterator[tuple[str, str, str, float]]:
    channels = exact.shape[1] // 2
    for what, part in (("mean", slice(channels)), ("log variance", slice(channels, None))):
        value = _below_spread(exact[:, part], found[:, part])
        yield name, f"posterior {what}, error below spread", "VAE", value


def _below_spread(exact: Tensor, found: Tensor) -> float:
    """Standard deviation of a quantity over the root mean square of its error, in dB."""
    return 20 * torch.log10(exact.std() / (found - exact).square().mean().sqrt()).item()


if __name__ == "__main__":
    main()
