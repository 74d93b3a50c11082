"""What saves memory in diffusers: half precision, variants, offloading, slices and tiles; and sharing components.

Offloading moves weights to an accelerator and back; here the "accelerator" is the CPU, so that its hooks run anywhere.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload
from diffusers import AutoencoderKL, DiffusionPipeline
from torch import Tensor

from models.inference.pipeline import MVDiffusionPipeline
from models.network.noise import build_scheduler
from tests.models.toy_models import NOISE, largest_difference, picture, toy_pipeline


@pytest.fixture
def pipeline() -> MVDiffusionPipeline:
    return toy_pipeline(build_scheduler(NOISE, "ddpm"))


def drawn(pipeline: Any, **settings: Any) -> tuple[Tensor, Tensor]:
    """Views and latents of two targets after two steps."""
    pipeline.set_progress_bar_config(disable=True)
    given: dict[str, Any] = {"num_inference_steps": 2, "target_ids": [5, 2], "output_type": "pt"}
    made = pipeline([picture(0), picture(1)], generator=torch.Generator().manual_seed(0), **given | settings)
    return made.images, made.latents


def assert_equal(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.usefixtures("bfloat16_attention")
def test_pipeline_moved_to_half_precision_draws_nearly_the_same(
    pipeline: MVDiffusionPipeline, dtype: torch.dtype
) -> None:
    _, exact = drawn(pipeline)
    _, half = drawn(pipeline.to(dtype))
    assert {component.dtype for component in (pipeline.unet, pipeline.vae, pipeline.image_encoder)} == {dtype}
    assert half.dtype == torch.float32
    assert 0 < largest_difference(half, exact) < 0.1 * exact.abs().max()


@pytest.mark.parametrize("name", ["unet", "vae"])
def test_network_that_overflows_in_half_precision_is_named_instead_of_black_views(
    pipeline: MVDiffusionPipeline, name: str
) -> None:
    first = {"unet": pipeline.unet.base.conv_in, "vae": pipeline.vae.decoder.conv_in}[name]
    first.weight.data.mul_(1e6)
    with pytest.raises(ValueError, match=r"computed values that are not finite, in torch.float16; use torch.bfloat16"):
        drawn(pipeline.to(torch.float16))


@pytest.mark.parametrize(("variant", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
@pytest.mark.usefixtures("bfloat16_attention")
def test_pipeline_saved_as_a_variant_is_loaded_as_one(
    pipeline: MVDiffusionPipeline, tmp_path: Path, variant: str, dtype: torch.dtype
) -> None:
    wanted = drawn(pipeline.to(dtype))
    pipeline.save_pretrained(tmp_path, variant=variant)
    weights = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.safetensors")}
    names = ("image_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model")
    assert weights == {f"{name}.{variant}.safetensors" for name in names}
    assert_equal(drawn(MVDiffusionPipeline.from_pretrained(tmp_path, variant=variant, dtype=dtype)), wanted)
    with pytest.raises(OSError, match="no file named"):
        MVDiffusionPipeline.from_pretrained(tmp_path)


def test_pipeline_saved_in_shards_is_whole(pipeline: MVDiffusionPipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list((tmp_path / "unet").glob("*.safetensors"))) > 1
    assert_equal(drawn(MVDiffusionPipeline.from_pretrained(tmp_path)), drawn(pipeline))


LATER = ("condition_drop", "generation_input", "timestep_map", "condition_input")
"""Keys of a network's config.json that came after the first version."""


def test_folder_saved_before_later_keys_were_recorded_loads(pipeline: MVDiffusionPipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    config = tmp_path / "unet" / "config.json"
    content = json.loads(config.read_text())
    for key in LATER:
        del content[key]
    config.write_text(json.dumps(content))
    loaded = MVDiffusionPipeline.from_pretrained(tmp_path)
    assert loaded.unet.config.condition_drop is None
    assert loaded.unet.config.generation_input == "white"
    assert_equal(drawn(loaded), drawn(pipeline))


def test_pipeline_that_offloads_models_draws_the_same(pipeline: MVDiffusionPipeline) -> None:
    wanted = drawn(pipeline)
    pipeline.enable_model_cpu_offload(device="cpu")
    assert_equal(drawn(pipeline), wanted)
    assert_equal(drawn(pipeline), wanted)  # the hooks are set again


def test_pipeline_that_offloads_layers_draws_the_same(pipeline: MVDiffusionPipeline) -> None:
    wanted = drawn(pipeline)
    for component in (pipeline.unet, pipeline.vae, pipeline.image_encoder):
        cpu_offload(
            component, torch.device("cpu"), offload_buffers=True
        )  # enable_sequential_cpu_offload, without "cpu:0"
    assert pipeline.unet.device.type == "meta"  # the weights are elsewhere until a layer runs
    assert_equal(drawn(pipeline), wanted)


def test_vae_in_slices_draws_the_same(pipeline: MVDiffusionPipeline) -> None:
    wanted = drawn(pipeline)
    pipeline.vae.enable_slicing()
    for found, exact in zip(drawn(pipeline), wanted, strict=True):
        assert largest_difference(found, exact) < 1e-4


def test_vae_in_tiles_draws_views_of_the_same_size(pipeline: MVDiffusionPipeline) -> None:
    _, wanted = drawn(pipeline)
    pipeline.vae.enable_tiling()
    pipeline.vae.tile_sample_min_size, pipeline.vae.tile_latent_min_size = 8, 4
    views, latents = drawn(pipeline)
    assert tuple(views.shape) == (2, 4, 16, 16)
    assert latents.isfinite().all()
    assert largest_difference(latents, wanted) > 0  # conditions are encoded in tiles as well


@pytest.mark.parametrize("slices", ["auto", "max"])
def test_attention_in_slices_draws_the_same(pipeline: MVDiffusionPipeline, slices: str) -> None:
    wanted = drawn(pipeline)
    pipeline.enable_attention_slicing(slices)
    chunks = {processor.chunk for processor in pipeline.unet.base.attn_processors.values()}
    assert len(chunks) == 1
    assert chunks != {None}
    for found, exact in zip(drawn(pipeline), wanted, strict=True):
        assert largest_difference(found, exact) < 1e-4
    pipeline.disable_attention_slicing()
    assert_equal(drawn(pipeline), wanted)


def test_attention_slices_counted_in_heads_are_refused(pipeline: MVDiffusionPipeline) -> None:
    with pytest.raises(ValueError, match=r"slice_size is 1; give 'auto', 'max' or None, or call"):
        pipeline.enable_attention_slicing(1)


def test_components_make_another_pipeline_of_the_same_weights(pipeline: MVDiffusionPipeline) -> None:
    assert sorted(pipeline.components) == ["feature_extractor", "image_encoder", "scheduler", "unet", "vae"]
    wanted = drawn(pipeline)
    for other in (MVDiffusionPipeline(**pipeline.components), MVDiffusionPipeline.from_pipe(pipeline)):
        assert other.unet is pipeline.unet
        assert_equal(drawn(other), wanted)


def test_pipeline_with_a_component_of_the_callers_own_uses_it(pipeline: MVDiffusionPipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    vae = AutoencoderKL.from_pretrained(tmp_path / "vae")
    loaded = MVDiffusionPipeline.from_pretrained(tmp_path, vae=vae, unet=pipeline.unet)
    assert loaded.vae is vae
    assert loaded.unet is pipeline.unet
    assert_equal(drawn(loaded), drawn(pipeline))


def test_pipeline_of_another_class_makes_no_pipeline_of_ours(pipeline: MVDiffusionPipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        DiffusionPipeline.from_pretrained(tmp_path, custom_pipeline=str(tmp_path))
