"""Ray Train and torchrun start the same processes as `infra.execution.launchers.LocalTrainers` does."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.execution.launchers import LaunchedTrainers, RayTrainers
from models.training.checkpoints import Checkpoints
from tasks.ports import Trainers
from tests.infra.execution.test_launchers import TORCHRUN
from tests.models.training.toy_ranks import work

pytestmark = pytest.mark.slow


def test_ray_trainers_train_what_local_ones_train(
    cluster: Any, latent_folder: Path, trained_by_two: dict[str, Any], tmp_path: Path
) -> None:
    cluster.add_node(**cluster.node)
    assert_same_training(
        RayTrainers(2, address=cluster.address, use_gpu=False), latent_folder, trained_by_two, tmp_path / "run"
    )


def test_launched_trainers_train_what_local_ones_train(
    latent_folder: Path, trained_by_two: dict[str, Any], tmp_path: Path
) -> None:
    assert_same_training(LaunchedTrainers(2, TORCHRUN), latent_folder, trained_by_two, tmp_path / "run")


def assert_same_training(trainers: Trainers, latent_folder: Path, trained_by_two: dict[str, Any], folder: Path) -> None:
    folder.mkdir()
    ticks = []
    trainers.run(partial(work, latent_folder, folder), folder / "exchange_dir", watch=lambda: ticks.append(1), count=2)
    state = Checkpoints(folder, "toy").load_newest()
    assert ticks
    assert state is not None
    for name, expected in trained_by_two["weights"].items():
        torch.testing.assert_close(state["weights"][name], expected, rtol=1e-3, atol=1e-5)
