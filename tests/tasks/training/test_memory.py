import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.data.samples import SampleReader
from models.network.multiview_unet import MultiViewUNet
from models.training.cost import SampleCost
from models.training.diffusion import DiffusionTraining
from tasks.ports import ComputeOptions, Tools
from tasks.training.memory import TEMPORARY_SHARE, check_memory, estimate
from tests.bench.model_cost import PAPER, meta_unet
from tests.models.toy_diffusion import make_training
from tests.models.toy_latents import write_toy_latents
from tests.tasks.test_train_stages import MASK_VAE, STAGE3
from tests.tasks.toolbox import QuietProgress, make_tools

CONFIG = STAGE3.model_copy(update={"loop": STAGE3.loop.model_copy(update={"batch_size": 8, "samples": 80})})


@pytest.fixture
def training(tmp_path: Path) -> DiffusionTraining:
    return make_training(write_toy_latents(tmp_path / "latents"))


def tools_with(folder: Path, **changes: Any) -> tuple[Tools, QuietProgress]:
    progress = QuietProgress()
    return replace(make_tools(folder), progress=progress, **changes), progress


@pytest.mark.slow(seconds=1)
def test_need_is_said_before_a_training_starts(training: DiffusionTraining, tmp_path: Path) -> None:
    tools, progress = tools_with(tmp_path, memory_gib=8.0)
    check_memory("train-stage3", training, CONFIG, tools, 1)
    (note,) = progress.notes
    assert note.startswith("train-stage3: ")
    assert "10 steps of 8 samples" in note
    assert "for each of 8 samples at once" in note


class Dear:
    """A training whose samples need 1 GiB each."""

    may_be_sharded = True
    frozen_parameters = 0
    discriminator = None

    def __init__(self, training: DiffusionTraining, micro_batch: int | None = None) -> None:
        self.model = training.model
        self.micro_batch = micro_batch

    def cost(self, autocast: object) -> SampleCost:  # noqa: ARG002
        return SampleCost(tflop=1.0, saved_activation_bytes=2**30)


@pytest.mark.parametrize(
    ("memory_gib", "remedy"),
    [(3.5, "set micro_batch to 3 in the profile"), (0.5, "set recompute_feed_forward or recompute_levels")],
)
def test_need_that_cannot_fit_is_refused_with_numbers_and_remedies(
    training: DiffusionTraining, tmp_path: Path, memory_gib: float, remedy: str
) -> None:
    tools, _ = tools_with(tmp_path, memory_gib=memory_gib)
    dear: Any = Dear(training)
    message = r"train-stage3 needs at least 8\.\d\d GiB .* for each of 8 samples at once\); cpu has "
    with pytest.raises(ValueError, match=rf"{message}\S+ of {memory_gib}0 to use: {remedy}"):
        check_memory("train-stage3", dear, CONFIG, tools, 1)
    fitting: Any = Dear(training, micro_batch=3)
    check_memory("train-stage3", fitting, CONFIG, replace(tools, memory_gib=3.5), 1)


def test_need_is_refused_from_where_the_advice_stops(training: DiffusionTraining, tmp_path: Path) -> None:
    tools, _ = tools_with(tmp_path)
    dear: Any = Dear(training)
    need = estimate("train-stage3", dear, CONFIG, tools, 1)
    just = need.total_gib / (1 - TEMPORARY_SHARE)
    need.require("card", 1.001 * just)
    assert need.fitting(1.001 * just) == need.at_once
    assert need.fitting(0.999 * just) == need.at_once - 1
    with pytest.raises(ValueError, match=f"set micro_batch to {need.at_once - 1} in the profile"):
        need.require("card", 0.999 * just)


@pytest.mark.parametrize(
    ("memory_gib", "remedy"),
    [
        (3.5, "set vae_micro_batch to 3 in the profile, or recompute_levels, or loop.precision to bf16"),
        (0.5, "set recompute_levels in the profile, loop.precision to bf16, or take a card with more memory"),
    ],
)
def test_need_of_the_vae_that_cannot_fit_names_what_the_vae_has(
    training: DiffusionTraining, tmp_path: Path, memory_gib: float, remedy: str
) -> None:
    tools, _ = tools_with(tmp_path, memory_gib=memory_gib)
    dear: Any = Dear(training)
    with pytest.raises(ValueError, match=rf"cpu has \S+ of {memory_gib}0 to use: {remedy}$"):
        check_memory("train-vae", dear, MASK_VAE.model_copy(update={"loop": CONFIG.loop}), tools, 1)


@pytest.mark.slow(seconds=2)
def test_need_of_a_process_that_keeps_half_the_weights_is_half_their_bytes(
    training: DiffusionTraining, tmp_path: Path
) -> None:
    whole, _ = tools_with(tmp_path, memory_gib=64.0)
    split = replace(whole, compute=ComputeOptions(shard_weights=True))
    needs = [check_memory("train-stage3", training, CONFIG, tools, 2) for tools in (whole, split)]
    assert needs[1].state_gib == needs[0].state_gib / 2
    parted = replace(training, micro_batch=2)
    unsummed = needs[0].parameters * 4 / 2**30
    assert estimate("train-stage3", parted, CONFIG, split, 2).state_gib == pytest.approx(needs[1].state_gib + unsummed)
    half = CONFIG.model_copy(update={"loop": CONFIG.loop.model_copy(update={"precision": "bf16"})})
    on_cards = replace(split, device="cuda")
    assert estimate("train-stage3", training, half, on_cards, 2).state_gib == needs[1].state_gib, "no copies in bf16"
    vae: Any = Dear(training)
    vae.may_be_sharded = False
    assert check_memory("train-vae", vae, CONFIG, split, 2).state_gib == needs[0].state_gib


CARDS = {"H100": 79.1, "H200": 139.8}
"""GiB."""
TRUE_GIB = {1: 9.37, 10: 20.70}
"""What a forward pass of 1 + 8 and of 10 + 8 views at 512 px was seen to keep under CUDA's autocast."""


@pytest.fixture(scope="module")
def full_size() -> MultiViewUNet:
    return meta_unet(PAPER)


@pytest.mark.slow
@pytest.mark.parametrize("conditions", [1, pytest.param(10, marks=pytest.mark.nightly)])
def test_advised_micro_batch_of_the_papers_network_fits_and_one_more_does_not(
    training: DiffusionTraining, tmp_path: Path, full_size: MultiViewUNet, conditions: int
) -> None:
    plan = replace(
        training.reader.plan,
        kept_targets=8,
        multi_condition_share=0.5 if conditions > 1 else 0.0,
        multi_conditions=(1, conditions),
    )
    reader = SampleReader(training.reader.latents, ["a"], plan, 1.0)
    trainable = replace(training, model=full_size, reader=reader)
    loop = CONFIG.loop.model_copy(update={"batch_size": 64, "precision": "bf16"})
    tools, _ = tools_with(tmp_path, device="cuda")
    need = estimate("train-stage3", trainable, CONFIG.model_copy(update={"loop": loop}), tools, 1)
    states_gib = full_size.num_parameters() * (16 + 4 + 2) / 2**30  # Adam's two, weight, gradient; average; copy
    assert need.state_gib == pytest.approx(states_gib)
    for card, memory_gib in CARDS.items():
        with pytest.raises(ValueError, match=r"set micro_batch to \d+ in the profile") as refused:
            need.require(card, memory_gib)
        found = re.search(r"micro_batch to (\d+)", str(refused.value))
        assert found is not None
        advised = int(found[1])
        usable_gib = (1 - TEMPORARY_SHARE) * memory_gib
        assert states_gib + advised * TRUE_GIB[conditions] <= usable_gib, card
        assert states_gib + (advised + 1) * TRUE_GIB[conditions] > usable_gib, card
        replace(need, at_once=advised).require(card, memory_gib)
    with pytest.raises(ValueError, match="needs at least"):
        replace(need, at_once={1: 8, 10: 6}[conditions]).require("card", {1: 79.1, 10: 139.8}[conditions])


def test_networks_beside_the_one_that_learns_need_memory_too(training: DiffusionTraining, tmp_path: Path) -> None:
    tools, _ = tools_with(tmp_path, memory_gib=64.0)
    alone: Any = Dear(training)
    others: Any = Dear(training)
    others.frozen_parameters = 2**30  # such as a distillation's teacher
    others.discriminator = torch.nn.Linear(2**14, 2**14, bias=False, device="meta")
    needs = [estimate("distil", trainable, CONFIG, tools, 1).state_gib for trainable in (alone, others)]
    assert needs[1] - needs[0] == pytest.approx(4 + 16 / 4)
