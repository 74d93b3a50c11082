"""A network that is trained on with another schedule is told the timesteps that it knows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, PNDMScheduler
from pydantic import ValidationError

from models.config import UNetConfig
from models.network.multiview_unet import MultiViewUNet, build_unet
from models.network.noise import Diffusion, build_scheduler
from models.network.timesteps import equal_noise_timesteps, pretrained_alphas
from tests.models.inference.hub import COMMIT, ask, served
from tests.models.toy_models import GEOMETRY, NOISE, UNET, toy_inputs, toy_unet

SCALED = NOISE.model_copy(update={"beta_schedule": "scaled_linear"})
SETTINGS: dict[str, Any] = {"num_targets": 8, "latent_channels": 4, "latent_size": 8, "geometry": GEOMETRY}


def published(folder: Path) -> Path:
    """A network, and beside it the schedule of Stable Diffusion, as a pipeline keeps them."""
    toy_unet().base.save_pretrained(folder / "unet")
    scheduler = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True)
    scheduler.save_pretrained(folder / "scheduler")
    return folder / "unet"


def test_equal_noise_timesteps_leave_the_same_signal() -> None:
    ours, theirs = Diffusion(NOISE).alpha, Diffusion(SCALED).alpha
    found = equal_noise_timesteps(ours, theirs)
    assert [round(found[step]) for step in (300, 500, 700, 900)] == [374, 600, 805, 994]
    assert found == sorted(found)
    assert found[-1] == 999  # the pretrained network has seen nothing as noisy
    told = torch.tensor(found[:900], dtype=torch.float64)
    lower = told.floor().long()
    signal = torch.lerp(theirs[lower], theirs[lower + 1], told - lower)
    torch.testing.assert_close(signal, ours[:900], rtol=1e-3, atol=1e-5)
    assert equal_noise_timesteps(ours, ours) == list(range(1000))


def test_pretrained_alphas_are_those_beside_the_network(tmp_path: Path) -> None:
    torch.testing.assert_close(
        pretrained_alphas(str(published(tmp_path))), Diffusion(SCALED).alpha, rtol=1e-4, atol=1e-6
    )


def test_pretrained_alphas_come_from_a_hub_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path / "hub")
    with served(tmp_path / "hub") as address:
        ask(address, tmp_path / "cache", monkeypatch)
        found = pretrained_alphas(f"owner/name@{COMMIT}/unet")
    torch.testing.assert_close(found, Diffusion(SCALED).alpha, rtol=1e-4, atol=1e-6)


def test_pretrained_alphas_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    toy_unet().base.save_pretrained(tmp_path / "unet")
    with pytest.raises(ValueError, match=r"has no scheduler_config.json; put the one of the pretrained pipeline there"):
        pretrained_alphas(str(tmp_path / "unet"))


def test_config_with_a_map_needs_pretrained_weights() -> None:
    with pytest.raises(ValidationError, match="timestep_map is pretrained and pretrained is null"):
        UNetConfig.model_validate(UNET.model_dump() | {"timestep_map": "pretrained"})


@torch.no_grad()
def test_network_with_a_map_is_told_the_timesteps_that_it_knows(tmp_path: Path) -> None:
    update = {"pretrained": str(published(tmp_path)), "cross_attention_dim": 24}
    plain = build_unet(UNET.model_copy(update=update), **SETTINGS).eval()
    mapped = build_unet(UNET.model_copy(update=update | {"timestep_map": "pretrained"}), **SETTINGS, noise=NOISE).eval()
    mapped.load_state_dict(plain.state_dict())
    table = equal_noise_timesteps(Diffusion(NOISE).alpha, Diffusion(SCALED).alpha)
    inputs = toy_inputs(2, 3) | {"timestep_B": torch.tensor([300, 900])}
    assert mapped.told_timesteps(inputs["timestep_B"]).tolist() == pytest.approx([table[300], table[900]], abs=1e-3)
    told = inputs | {"timestep_B": torch.tensor([table[300], table[900]])}
    torch.testing.assert_close(mapped(**inputs), plain(**told), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(mapped(**inputs), plain(**inputs), atol=1e-3)
    between = mapped.told_timesteps(torch.tensor([300.25])).item()
    assert between == pytest.approx(0.75 * table[300] + 0.25 * table[301], abs=1e-3)

    mapped.save_pretrained(tmp_path / "saved")
    loaded = MultiViewUNet.from_pretrained(tmp_path / "saved")
    assert torch.equal(loaded(**inputs), mapped(**inputs))
    halved = loaded.to(torch.bfloat16)
    assert halved.told_timesteps(inputs["timestep_B"]).tolist() == mapped.told_timesteps(inputs["timestep_B"]).tolist()
    assert halved.told_timesteps(torch.tensor([300])).dtype == torch.float32


def test_schedulers_of_this_project_are_what_the_map_assumes() -> None:
    scheduler: DDPMScheduler = build_scheduler(NOISE, "ddpm")
    torch.testing.assert_close(scheduler.alphas_cumprod.double().sqrt(), Diffusion(NOISE).alpha, rtol=1e-4, atol=1e-6)
