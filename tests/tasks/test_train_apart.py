"""Trainings on a node that does not see the stage's folder: what is said to be read is enough, and all comes back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from infra.execution.parcels import NodePlace
from infra.execution.transport import Transport
from infra.storage.blob_store import BlobStore
from models.network.multiview_unet import MultiViewUNet
from tasks.encode import encode_views
from tasks.outcome import Failed, Outcome
from tasks.train_diffusion import train_stage
from tasks.train_vae import train_mask_vae
from tests.forked_ranks import ForkedRanks
from tests.infra.hidden_node import hidden_node
from tests.tasks.small_views import ENCODE, write_small_views
from tests.tasks.test_train_stages import MASK_VAE, STAGE1, STAGE3
from tests.tasks.toolbox import make_tools, notes_of

pytestmark = [pytest.mark.nightly, pytest.mark.slow(seconds=150), pytest.mark.timeout(3600)]


def test_trainings_on_a_node_without_the_folder_make_what_two_ranks_make_here(
    headless_cluster: Any, tmp_path: Path
) -> None:
    from infra.execution.ray_train import RayTrainLauncher  # Ray Train costs every session seconds

    hidden = tmp_path / "hidden"
    views, vae, latents, stage1 = (hidden / name for name in ("views", "vae", "latents", "stage1"))
    write_small_views(hidden)
    train_mask_vae(views, MASK_VAE, 0, vae, make_tools(hidden))
    encode_views(views, vae, ENCODE, 0, latents, make_tools(hidden))
    train_stage("stage1", latents, None, vae, STAGE1, 0, stage1, make_tools(hidden))
    store = BlobStore(str(tmp_path / "store"), None, attempts=2)
    transport = Transport[Outcome](NodePlace(store, str(tmp_path / "node"), 10**9), failed=Failed)
    launcher = RayTrainLauncher(2, address=headless_cluster.address, use_gpu=False, transport=transport)
    here = make_tools(hidden / "here", launcher=ForkedRanks(2))
    apart = make_tools(hidden / "apart", launcher=launcher, latent_cache=transport)
    with hidden_node(headless_cluster.address, hidden, num_cpus=2) as as_seen_there:
        for folder, tools in (("here", here), ("apart", apart)):
            train_mask_vae(views, MASK_VAE, 0, hidden / folder / "vae", tools)
            train_stage("stage3", latents, stage1, vae, STAGE3, 0, hidden / folder / "stage3", tools)
        assert not list(as_seen_there.iterdir())
    assert notes_of(apart) == notes_of(here)
    assert_same(AutoencoderKL.from_pretrained, hidden, "vae")
    assert_same(MultiViewUNet.from_pretrained, hidden, "stage3/unet")
    drawn = [sorted(path.name for path in (hidden / folder).rglob("samples-*.p[nt]*")) for folder in ("here", "apart")]
    assert [len(names) for names in drawn] == [len(drawn[0])] * 2


def assert_same(load: Any, hidden: Path, model: str) -> None:
    here, apart = (load(hidden / folder / model).state_dict() for folder in ("here", "apart"))
    for name, weight in here.items():
        torch.testing.assert_close(apart[name], weight, rtol=1e-3, atol=1e-5, msg=name)
