from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.training.cost import SampleCost
from models.training.diffusion import DiffusionTraining
from tasks.ports import ComputeOptions, Tools
from tasks.training.memory import check_memory
from tests.models.toy_diffusion import make_training
from tests.models.toy_latents import write_toy_latents
from tests.tasks.test_train_stages import STAGE3
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

    def __init__(self, training: DiffusionTraining) -> None:
        self.model = training.model

    def cost(self, dtype: object) -> SampleCost:  # noqa: ARG002
        return SampleCost(tflop=1.0, saved_activation_bytes=2**30)


@pytest.mark.parametrize(
    ("memory_gib", "remedy"), [(3.5, "set micro_batch to 3 in the profile"), (0.5, "set recompute_levels")]
)
def test_need_that_cannot_fit_is_refused_with_numbers_and_remedies(
    training: DiffusionTraining, tmp_path: Path, memory_gib: float, remedy: str
) -> None:
    tools, _ = tools_with(tmp_path, memory_gib=memory_gib)
    dear: Any = Dear(training)
    message = rf"train-stage3 needs at least 8\.\d\d GiB .* for each of 8 samples at once\); cpu has {memory_gib}0: "
    with pytest.raises(ValueError, match=message + remedy):
        check_memory("train-stage3", dear, CONFIG, tools, 1)
    fitting = replace(tools, memory_gib=3.5, compute=ComputeOptions(micro_batch=3))
    check_memory("train-stage3", dear, CONFIG, fitting, 1)


@pytest.mark.slow(seconds=2)
def test_need_of_a_process_that_keeps_half_the_weights_is_half_their_bytes(
    training: DiffusionTraining, tmp_path: Path
) -> None:
    whole, _ = tools_with(tmp_path, memory_gib=64.0)
    split = replace(whole, compute=ComputeOptions(shard_weights=True))
    needs = [check_memory("train-stage3", training, CONFIG, tools, 2) for tools in (whole, split)]
    assert needs[1].state_gib == needs[0].state_gib / 2
    vae: Any = Dear(training)
    vae.may_be_sharded = False
    assert check_memory("train-vae", vae, CONFIG, split, 2).state_gib == needs[0].state_gib
