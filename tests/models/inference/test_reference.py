"""What the network is given through the pipeline where the targets' condition channels hold the reference."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from models.data.images import resized, to_tensor
from models.inference.pipeline import MVDiffusionPipeline
from models.network.mask_vae import encode_rgba, white_latent
from models.network.noise import build_scheduler
from tests.models.toy_models import NOISE, picture, toy_pipeline


def guided_by(generation_input: str) -> MVDiffusionPipeline:
    pipeline = toy_pipeline(build_scheduler(NOISE, "ddim"))
    pipeline.unet.register_to_config(generation_input=generation_input, condition_drop=0.1)
    return pipeline


def given_to(pipeline: MVDiffusionPipeline, images: Any, **settings: Any) -> list[Tensor]:
    """The condition channels of every call of the network."""
    calls: list[Tensor] = []
    hook = pipeline.unet.register_forward_pre_hook(
        lambda _, __, keywords: calls.append(keywords["condition_BVCHW"]), with_kwargs=True
    )
    pipeline(images, num_inference_steps=1, generator=torch.Generator().manual_seed(0), target_ids=[3, 0], **settings)
    hook.remove()
    return calls


def latent_of(pipeline: MVDiffusionPipeline, seed: int) -> Tensor:
    return encode_rgba(pipeline.vae, to_tensor([resized(picture(seed), pipeline.resolution)]))[0]


def test_pipeline_gives_targets_the_image_that_they_are_aligned_to() -> None:
    pipeline = guided_by("reference")
    (given,) = given_to(pipeline, [picture(0), picture(1)])
    torch.testing.assert_close(given[0, 2:], latent_of(pipeline, 0).expand(2, -1, -1, -1))
    (given,) = given_to(pipeline, [picture(0), picture(1)], align_to=1)
    torch.testing.assert_close(given[0, 2:], latent_of(pipeline, 1).expand(2, -1, -1, -1))
    torch.testing.assert_close(given[0, 1], latent_of(pipeline, 0))


def test_pipeline_of_the_papers_form_gives_targets_the_white_image() -> None:
    pipeline = guided_by("white")
    (given,) = given_to(pipeline, [picture(0), picture(1)])
    assert torch.equal(given[0, 2:], white_latent(pipeline.vae, 16).expand(2, -1, -1, -1))


def test_pipeline_with_guidance_drops_the_reference_with_the_condition() -> None:
    pipeline = guided_by("reference")
    conditional, empty = given_to(pipeline, [picture(0)], guidance_scale=2.0)
    torch.testing.assert_close(conditional[0, 1:], latent_of(pipeline, 0).expand(2, -1, -1, -1))
    assert not empty[0, :1].any()
    assert torch.equal(empty[0, 1:], white_latent(pipeline.vae, 16).expand(2, -1, -1, -1))


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("is_shipped", [False, True])
@pytest.mark.slow(seconds=2)
def test_folder_of_a_network_with_a_reference_draws_the_same(is_shipped: bool, tmp_path: Path) -> None:
    pipeline = guided_by("reference")
    pipeline.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "unet" / "config.json").read_text())["generation_input"] == "reference"
    if is_shipped:
        loaded = DiffusionPipeline.from_pretrained(tmp_path, custom_pipeline=str(tmp_path), trust_remote_code=True)
    else:
        loaded = MVDiffusionPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    drawn, wanted = (
        one([picture(0)], num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="latent")
        for one in (loaded, pipeline)
    )
    assert torch.equal(drawn.latents, wanted.latents)
    other = guided_by("white")
    white = other([picture(0)], num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="latent")
    assert not torch.equal(white.latents, wanted.latents)
