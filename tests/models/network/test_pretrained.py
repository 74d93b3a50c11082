"""Loaded weights lie where torch would have put them, whatever the file's layout, so that kernels round as before."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from torch import Tensor, nn

from models.inference.pipeline import MVDiffusionPipeline
from models.network.image_encoder import build_image_encoder, load_image_encoder
from models.network.initialization import seeded_weights
from models.network.mask_vae import build_mask_vae, load_mask_vae
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import build_scheduler
from models.network.pretrained import ALIGNMENT, align
from tests.models.toy_models import NOISE, VAE, Tower, picture, toy_inputs, toy_pipeline, toy_unet


def shift_weights(folder: Path, offset: int = 8) -> None:
    """Lengthen the headers of all weight files so that their tensors begin `offset` bytes after an aligned place."""
    for path in folder.rglob("*.safetensors"):
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.dumps(json.loads(content[8:start])).encode()
        header += b" " * ((offset - 8 - len(header)) % ALIGNMENT)
        path.write_bytes(len(header).to_bytes(8, "little") + header + content[start:])


def unaligned(model: nn.Module) -> list[str]:
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert tensors
    return [name for name, tensor in tensors.items() if tensor.data_ptr() % ALIGNMENT]


def off_by(tensor: Tensor, offset: int) -> Tensor:
    """A copy that begins `offset` bytes after an aligned address."""
    assert tensor.is_contiguous()
    room = torch.empty(tensor.nbytes + 2 * ALIGNMENT, dtype=torch.uint8)
    first = -room.data_ptr() % ALIGNMENT + offset
    return room[first : first + tensor.nbytes].view(tensor.dtype).view(tensor.shape).copy_(tensor)


def vae() -> AutoencoderKL:
    with seeded_weights(1):
        return build_mask_vae(VAE).eval()


KINDS = [
    pytest.param(toy_unet, MultiViewUNet.from_pretrained, id="unet"),
    pytest.param(vae, load_mask_vae, id="vae"),
    pytest.param(lambda: build_image_encoder(Tower(), seed=2), load_image_encoder, id="image encoder"),
]


@pytest.mark.parametrize(("build", "load"), KINDS)
def test_model_loaded_from_a_shifted_file_lies_aligned_with_equal_weights(
    build: Callable[[], nn.Module], load: Callable[[Path], nn.Module], tmp_path: Path
) -> None:
    model: Any = build()  # diffusers' and transformers' models alike
    model.save_pretrained(tmp_path)
    shift_weights(tmp_path)
    loaded = load(tmp_path)
    assert not unaligned(loaded)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in loaded.state_dict().items())


def test_diffusers_alone_leaves_the_weights_of_a_shifted_file_unaligned(tmp_path: Path) -> None:
    vae().save_pretrained(tmp_path)
    shift_weights(tmp_path)
    loaded = AutoencoderKL.from_pretrained(tmp_path)
    assert unaligned(loaded)
    assert not unaligned(align(loaded))


def test_networks_that_start_from_published_weights_lie_aligned(tmp_path: Path) -> None:
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    shape = VAE.model_dump(exclude={"pretrained"})
    AutoencoderKL(in_channels=3, out_channels=3, **blocks, **shape).save_pretrained(tmp_path / "vae")
    build_image_encoder(Tower(), seed=2).save_pretrained(tmp_path / "tower")
    shift_weights(tmp_path)
    assert not unaligned(build_mask_vae(VAE.model_copy(update={"pretrained": str(tmp_path / "vae")})))
    assert not unaligned(build_image_encoder(Tower(pretrained=str(tmp_path / "tower")), seed=0))


@torch.no_grad()
def test_unet_loaded_from_a_shifted_file_gives_the_same_bits(tmp_path: Path) -> None:
    unet, inputs = toy_unet(), toy_inputs(1, 3)
    unet.save_pretrained(tmp_path)
    shift_weights(tmp_path)
    assert torch.equal(MultiViewUNet.from_pretrained(tmp_path)(**inputs), unet(**inputs))


@pytest.mark.parametrize("loader", [MVDiffusionPipeline, DiffusionPipeline])
@pytest.mark.slow(seconds=2)
def test_pipeline_loaded_from_shifted_files_draws_the_same_bits(
    loader: type[DiffusionPipeline], tmp_path: Path
) -> None:
    pipeline = toy_pipeline(build_scheduler(NOISE, "ddpm"))
    pipeline.save_pretrained(tmp_path)
    shift_weights(tmp_path)
    options = {} if loader is MVDiffusionPipeline else {"custom_pipeline": str(tmp_path), "trust_remote_code": True}
    loaded = loader.from_pretrained(tmp_path, **options)
    assert type(loaded).__name__ == "MVDiffusionPipeline"
    assert not any(unaligned(module) for module in (loaded.unet, loaded.vae, loaded.image_encoder))
    drawn = [
        each(picture(0), num_inference_steps=3, generator=torch.Generator().manual_seed(0)).latents
        for each in (pipeline, loaded)
    ]
    assert torch.equal(*drawn)


def test_align_moves_only_what_lies_unaligned() -> None:
    model: Any = nn.Linear(8, 8)
    weight = model.weight.data_ptr()
    model.bias.data = off_by(model.bias.data, 40)
    model.register_buffer("seen", off_by(torch.arange(5), 56))
    parameters, values = list(model.parameters()), {name: one.clone() for name, one in model.state_dict().items()}
    assert unaligned(model) == ["bias", "seen"]
    assert align(model) is model
    assert not unaligned(model)
    assert model.weight.data_ptr() == weight
    assert all(one is other for one, other in zip(parameters, model.parameters(), strict=True))
    assert all(torch.equal(one, values[name]) for name, one in model.state_dict().items())


def test_align_keeps_shared_weights_shared_and_strides() -> None:
    model: Any = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8), nn.Conv2d(8, 8, 3)])
    model[0].weight.data = off_by(model[0].weight.data, 8)
    model[1].weight = nn.Parameter(model[0].weight.data)  # other parameter, same memory
    model[0].bias = model[1].bias  # same parameter
    model[1].bias.data = off_by(model[1].bias.data, 8)
    channels_last = off_by(model[2].weight.data.permute(0, 2, 3, 1).contiguous(), 8).permute(0, 3, 1, 2)
    model[2].weight.data = channels_last
    align(model)
    assert not unaligned(model)
    assert model[0].weight.data_ptr() == model[1].weight.data_ptr()
    assert model[0].bias is model[1].bias
    assert model[2].weight.stride() == channels_last.stride()
    assert torch.equal(model[2].weight, channels_last)


def test_align_leaves_what_has_no_memory_on_the_cpu() -> None:
    model = nn.Linear(4, 4, device="meta")
    assert align(model).weight.device.type == "meta"
