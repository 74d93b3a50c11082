"""What bfloat16 may change in views, latents and embeddings (docs/model.md), and what it leaves alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.inference.encoding import ViewEncoder
from models.inference.outputs import MVDiffusionOutput
from models.inference.pipeline import MVDiffusionPipeline, load_pipeline
from models.inference.precision import DTYPES, tensor_float32
from models.losses.metrics import psnr
from models.network.image_encoder import build_image_encoder
from models.network.noise import SchedulerName, build_scheduler
from tests.models.precision_checks import LATENTS_DB, VIEWS_DB, AttentionQueries, below_spread, on_white
from tests.models.toy_models import NOISE, Tower, picture, toy_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(folder)
    return folder


def drawn(pipeline: MVDiffusionPipeline, seed: int = 0) -> MVDiffusionOutput:
    generator = torch.Generator().manual_seed(seed)
    made = pipeline([picture(0), picture(1)], num_inference_steps=5, generator=generator, output_type="pt")
    assert isinstance(made, MVDiffusionOutput)
    return made


@pytest.mark.parametrize("name", ["ddpm", "ddim", "unipc"])
@pytest.mark.usefixtures("bfloat16_attention")
def test_views_drawn_in_bf16_are_those_of_fp32_within_the_tolerance(folder: Path, name: SchedulerName) -> None:
    exact, half = (load_pipeline(folder, scheduler=name, device="cpu", dtype=dtype) for dtype in DTYPES.values())
    with AttentionQueries() as queries:
        found = drawn(half)
    wanted = drawn(exact)
    assert queries.dtypes(heads=2) == {torch.bfloat16}
    assert (found.images.dtype, found.latents.dtype) == (torch.float32, torch.float32)
    similarity = psnr(on_white(found.images), on_white(wanted.images))
    assert VIEWS_DB < similarity.min() < 80  # dB; equal ones would say that nothing was computed in bfloat16
    assert psnr(on_white(drawn(exact, seed=1).images), on_white(wanted.images)).mean() < VIEWS_DB


def test_pipeline_loaded_in_bf16_keeps_the_vae_in_fp32(folder: Path) -> None:
    half = load_pipeline(folder, scheduler="unipc", device="cpu", dtype=torch.bfloat16)
    assert {weight.dtype for part in (half.unet, half.image_encoder) for weight in part.parameters()} == {
        torch.bfloat16
    }
    assert {weight.dtype for weight in half.vae.parameters()} == {torch.float32}
    exact = load_pipeline(folder, scheduler="unipc", device="cpu")
    for part in (exact.unet, exact.vae, exact.image_encoder):
        assert {weight.dtype for weight in part.parameters()} == {torch.float32}


@pytest.mark.usefixtures("bfloat16_attention")
def test_views_encoded_in_bf16_are_those_of_fp32_within_the_tolerance(folder: Path) -> None:
    targets, conditions = (np.stack([np.array(picture(seed)) for seed in range(first, first + 4)]) for first in (0, 4))
    exact, half = (
        ViewEncoder.load(
            folder / "vae", build_image_encoder(Tower(), seed=2), device="cpu", batch_size=3, dtype=dtype
        ).encode("o", targets, conditions)
        for dtype in DTYPES.values()
    )
    assert (half.moments_VCHW.dtype, half.embeds_KD.dtype) == (torch.float32, torch.float32)
    for part in (slice(4), slice(4, 8)):  # mean, log variance
        assert LATENTS_DB < below_spread(exact.moments_VCHW[:, part], half.moments_VCHW[:, part]) < 60
    assert LATENTS_DB < below_spread(exact.embeds_KD, half.embeds_KD) < 60


def test_what_stays_float32_beside_bf16_runs_in_tensor_float32_on_cuda_alone() -> None:
    before = torch.get_float32_matmul_precision()
    for device, precision, expected in (("cuda:0", "bf16", "high"), ("cuda", "fp32", before), ("cpu", "bf16", before)):
        with tensor_float32(device, precision):  # type: ignore[arg-type] # of a tuple of literals
            assert torch.get_float32_matmul_precision() == expected
        assert torch.get_float32_matmul_precision() == before
    with pytest.raises(KeyError), tensor_float32("cuda", "bf16"):
        raise KeyError
    assert torch.get_float32_matmul_precision() == before
