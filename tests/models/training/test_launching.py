"""Ray Train and a torchrun of the user's start the same ranks as the default torchrun does."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.execution.torchrun import TorchrunLauncher
from models.training.checkpoints import Checkpoints
from tasks.ports import Launcher
from tests.infra.execution.test_torchrun import TORCHRUN
from tests.models.training.toy_ranks import work

pytestmark = pytest.mark.slow


@pytest.mark.nightly
def test_ray_train_trains_what_local_ranks_train(
    cluster: Any, latent_folder: Path, trained_by_two: dict[str, Any], tmp_path: Path
) -> None:
    from infra.execution.ray_train import RayTrainLauncher  # Ray Train costs every session seconds

    cluster.add_node(**cluster.node)
    assert_same_training(
        RayTrainLauncher(2, address=cluster.address, use_gpu=False), latent_folder, trained_by_two, tmp_path / "run"
    )


@pytest.mark.nightly
def test_own_torchrun_trains_what_local_ranks_train(
    latent_folder: Path, trained_by_two: dict[str, Any], tmp_path: Path
) -> None:
    assert_same_training(TorchrunLauncher(2, TORCHRUN), latent_folder, trained_by_two, tmp_path / "run")


def assert_same_training(launcher: Launcher, latent_folder: Path, trained_by_two: dict[str, Any], folder: Path) -> None:
    folder.mkdir()
    ticks = []
    launcher.run(partial(work, latent_folder, folder), folder / "exchange_dir", watch=lambda: ticks.append(1), count=2)
    state = Checkpoints(folder, "toy").load_newest()
    assert ticks
    assert state is not None
    for name, expected in trained_by_two["weights"].items():
        torch.testing.assert_close(state["weights"][name], expected, rtol=1e-3, atol=1e-5)
