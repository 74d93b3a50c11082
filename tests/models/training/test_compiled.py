"""Compiled networks give the gradients of the plain ones (infra/decisions/0012)."""

from shutil import which

import pytest
import torch
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from torch import Tensor, nn

from models.training.compiled import compile_in_place
from tests.models.toy_models import toy_inputs, toy_unet


class TwoLevels(nn.Module):
    """The smallest part of a UNet whose gradients torch's own choice of layouts loses."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(9, 16, 3, padding=1)
        self.above = ResnetBlock2D(in_channels=16, out_channels=16, temb_channels=64, groups=8)
        self.down = Downsample2D(16, use_conv=True)
        self.below = ResnetBlock2D(in_channels=16, out_channels=32, temb_channels=64, groups=8)
        self.up = Upsample2D(32, use_conv=True)
        self.joined = ResnetBlock2D(in_channels=48, out_channels=16, temb_channels=64, groups=8)
        self.last = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, latents: Tensor, embedding: Tensor) -> Tensor:
        above = self.above(self.first(latents), embedding)
        below = self.up(self.below(self.down(above), embedding))
        return self.last(self.joined(torch.cat([above, below], dim=1), embedding))


def gradients(network: nn.Module, *inputs: Tensor, **named: Tensor) -> dict[str, Tensor]:
    network(*inputs, **named).square().mean().backward()
    found = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    network.zero_grad()
    return found


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.nightly
@pytest.mark.slow(seconds=40)
@pytest.mark.skipif(which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_network_compiled_in_place_gives_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_DEBUG_COMPILE", "1")  # g++ optimizes nothing: half the time, the same kernels
    torch.manual_seed(0)
    network, latents, embedding = TwoLevels(), torch.randn(4, 9, 8, 8), torch.randn(4, 64)
    expected = gradients(network, latents, embedding)
    compile_in_place(network)
    assert_close(gradients(network, latents, embedding), expected)


@pytest.mark.slow
def test_unet_traced_by_torch_compile_gives_the_same_gradients() -> None:
    unet, inputs = toy_unet(), toy_inputs(2, 3)
    expected = gradients(unet, **inputs)
    unet.compile(backend="aot_eager", fullgraph=True)
    assert_close(gradients(unet, **inputs), expected)


def test_stage_3_keeps_a_graph_for_each_of_its_shapes() -> None:
    with torch._dynamo.config.patch(recompile_limit=8):
        compile_in_place(nn.Linear(2, 2))
        assert torch._dynamo.config.recompile_limit >= 32
