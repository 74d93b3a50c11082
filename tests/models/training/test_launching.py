"""Ray Train and a torchrun of the user's start the same ranks as the default torchrun does."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.execution.parcels import NodePlace
from infra.execution.torchrun import TorchrunLauncher
from infra.execution.transport import Transport
from infra.storage.blob_store import BlobStore
from models.training.checkpoints import Checkpoints
from tasks.outcome import Failed, Outcome
from tasks.ports import Launcher
from tests.infra.execution.test_torchrun import TORCHRUN
from tests.infra.hidden_node import hidden_node
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
def test_ray_train_on_a_node_without_the_folder_goes_on_from_what_a_killed_rank_has_sent(
    headless_cluster: Any,
    latent_folder: Path,
    trained_by_two: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from infra.execution import ray_connection
    from infra.execution.ray_train import RayTrainLauncher

    monkeypatch.setattr(ray_connection, "PACKAGES", (*ray_connection.PACKAGES, "tests"))
    hidden = tmp_path / "hidden"
    shutil.copytree(latent_folder, hidden / "latents")
    store = BlobStore(str(tmp_path / "store"), None, attempts=2)
    transport = Transport[Outcome](NodePlace(store, str(tmp_path / "node"), 10**9), failed=Failed)
    launcher = RayTrainLauncher(2, address=headless_cluster.address, use_gpu=False, transport=transport)
    with hidden_node(headless_cluster.address, hidden, num_cpus=2) as as_seen_there:
        assert_same_training(launcher, hidden / "latents", trained_by_two, hidden / "run", fault=die_after_a_while)
        assert (hidden / "run" / "struck").exists()
        assert not list(as_seen_there.iterdir())


@pytest.mark.nightly
def test_own_torchrun_trains_what_local_ranks_train(
    latent_folder: Path, trained_by_two: dict[str, Any], tmp_path: Path
) -> None:
    assert_same_training(TorchrunLauncher(2, TORCHRUN), latent_folder, trained_by_two, tmp_path / "run")


def die_after_a_while() -> None:
    time.sleep(5)
    os.kill(os.getpid(), signal.SIGKILL)


def assert_same_training(
    launcher: Launcher,
    latent_folder: Path,
    trained_by_two: dict[str, Any],
    folder: Path,
    fault: Callable[[], None] | None = None,
) -> None:
    folder.mkdir()
    ticks = []
    launcher.run(
        partial(work, latent_folder, folder, fault),
        folder / "exchange_dir",
        watch=lambda: ticks.append(1),
        count=2,
        reads=[latent_folder],
        writes=[folder],
    )
    state = Checkpoints(folder, "toy").load_newest()
    assert ticks
    assert state is not None
    for name, expected in trained_by_two["weights"].items():
        torch.testing.assert_close(state["weights"][name], expected, rtol=1e-3, atol=1e-5)
