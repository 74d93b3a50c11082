"""Ray Train starts the same processes as `infra.trainers.LocalTrainers` does."""

from functools import partial

import pytest
import torch

from infra.trainers import RayTrainers
from models.checkpoints import Checkpoints
from tests.infra.test_cluster import cluster as cluster
from tests.models.test_workers import latents as latents
from tests.models.test_workers import of_two as of_two
from tests.models.test_workers import work

pytestmark = pytest.mark.slow


def test_ray_trainers_train_what_local_ones_train(cluster, latents, of_two, tmp_path):
    cluster.add_node(**cluster.node)
    folder = tmp_path / "run"
    folder.mkdir()
    ticks = []
    trainers = RayTrainers(2, address=cluster.address, use_gpu=False)
    trainers.run(partial(work, latents, folder), folder / "desk", watch=lambda: ticks.append(1), count=2)
    state = Checkpoints(folder, "toy").load_newest()
    assert ticks
    for found, expected in zip(state["weights"].values(), of_two["weights"].values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
