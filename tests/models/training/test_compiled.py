"""Compiled networks give the gradients of the plain ones (infra/decisions/0012)."""

from pathlib import Path
from shutil import which

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from models.network.multiview_unet import MultiViewUNet
from models.training.compiled import (
    LARGEST_ERROR,
    TwoLevels,
    compile_in_place,
    gradient_error,
    may_choose_layouts,
    parts_of,
)
from tests.models.toy_models import toy_inputs, toy_unet


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
    network, latents, embedding = TwoLevels(16), torch.randn(4, 9, 8, 8), torch.randn(4, 64)
    expected = gradients(network, latents, embedding)
    compile_in_place(network)
    assert_close(gradients(network, latents, embedding), expected)


@pytest.mark.nightly
@pytest.mark.slow(seconds=80)
@pytest.mark.skipif(which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_small_network_finds_the_gradients_that_layouts_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_DEBUG_COMPILE", "1")
    device = torch.device("cpu")
    assert gradient_error(device, layouts=True, width=16, side=8) > 0.9
    assert gradient_error(device, layouts=False, width=16, side=8) < LARGEST_ERROR


def test_layouts_are_chosen_on_cards_alone_and_only_where_gradients_stay_right(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert not may_choose_layouts(torch.device("cpu"))
    monkeypatch.setattr("models.training.compiled.gradient_error", lambda *_, **__: 0.01)
    assert may_choose_layouts(torch.device("cuda"))
    monkeypatch.setattr("models.training.compiled.gradient_error", lambda *_, **__: 1.0)
    assert not may_choose_layouts(torch.device("cuda"))
    assert caplog.messages == [
        "torch.compile keeps the layouts as they are: with its own choice a gradient on cuda is off by 100 %"
    ]


def test_network_that_is_compiled_with_layouts_saves_what_it_holds(tmp_path: Path) -> None:
    unet = toy_unet()
    plain = {name: weight.clone() for name, weight in unet.state_dict().items()}
    compile_in_place(unet, layouts=True)
    assert unet.base.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    unet.save_pretrained(tmp_path)
    for name, weight in MultiViewUNet.from_pretrained(tmp_path).state_dict().items():
        assert torch.equal(weight, plain[name])
        assert weight.is_contiguous()


@pytest.mark.slow
def test_unet_traced_by_torch_compile_gives_the_same_gradients() -> None:
    unet, inputs = toy_unet(), toy_inputs(2, 3)
    expected = gradients(unet, **inputs)
    unet.compile(backend="aot_eager", fullgraph=True)
    assert_close(gradients(unet, **inputs), expected)


@pytest.mark.nightly
@pytest.mark.slow(seconds=30)
def test_unet_traced_block_by_block_gives_the_same_gradients_in_as_many_steps() -> None:
    unet, inputs = toy_unet(attention_levels=(True, True)), toy_inputs(2, 3)
    expected = gradients(unet, **inputs)
    for part in parts_of(unet):
        part.compile(backend="aot_eager", fullgraph=True)
    loss = unet(**inputs).square().mean()
    nodes: set[Node] = set()
    todo = [loss.grad_fn]
    while todo:
        node = todo.pop()
        following = {step for step, _ in node.next_functions if step is not None} - nodes
        nodes |= following
        todo += following
    assert sum("CompiledFunction" in node.name() for node in nodes) == len(parts_of(unet)) == 5
    loss.backward()
    assert_close({name: weight.grad for name, weight in unet.named_parameters() if weight.grad is not None}, expected)


@pytest.mark.slow(seconds=2)
def test_stage_3_keeps_a_graph_for_each_of_its_shapes() -> None:
    with torch._dynamo.config.patch(recompile_limit=8):
        compile_in_place(nn.Linear(2, 2))
        assert torch._dynamo.config.recompile_limit >= 32
