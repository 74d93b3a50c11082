"""Weights of others: no pickle is read, no code of a folder runs, no header is believed."""

import os
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.config import VAEConfig
from models.data.weight_files import read_tensors
from models.inference.pipeline import load_pipeline
from models.network.mask_vae import build_mask_vae
from models.network.noise import build_scheduler
from tests.models.toy_models import NOISE, VAE, toy_pipeline

WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "image_encoder": "model.safetensors",
}


class Evil:
    """Leaves a file when it is unpickled."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.sign}",)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "model"
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(folder)
    return folder


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


@pytest.mark.slow
@pytest.mark.parametrize("part", WEIGHTS)
def test_pickle_in_a_model_folder_is_refused_and_not_run(model: Path, part: str, tmp_path: Path) -> None:
    weights = model / part / WEIGHTS[part]
    pickled = weights.with_suffix(".bin")
    torch.save({"weight": Evil(tmp_path / "ran")}, pickled)
    weights.unlink()
    with pytest.raises(ValueError, match=rf"{pickled.name} is a pickle, which may run code .* convert it"):
        load_pipeline(model, scheduler=None, device="cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_code_in_a_model_folder_does_not_run(model: Path, tmp_path: Path) -> None:
    for name in ("pipeline.py", "unet/multiview_unet.py"):
        (model / name).write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    load_pipeline(model, scheduler=None, device="cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_pickle_of_pretrained_weights_is_refused(model: Path) -> None:
    weights = model / "vae" / WEIGHTS["vae"]
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    config = VAEConfig.model_validate(VAE.model_dump() | {"pretrained": str(model / "vae")})
    with pytest.raises(ValueError, match="is a pickle, which may run code when it is read"):
        build_mask_vae(config)


def test_state_dict_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": Evil(tmp_path / "ran")}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        read_tensors(tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("length", [2**63, 2**40, 10**8 + 1, 0])
def test_safetensors_whose_header_has_an_absurd_length_are_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    with pytest.raises(ValueError, match="cannot be read as weights"):
        read_tensors(path)


def test_safetensors_that_claim_more_than_the_file_holds_are_refused(tmp_path: Path) -> None:
    header = b'{"weight": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4000000000000]}}'
    (tmp_path / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(ValueError, match="cannot be read as weights"):
        read_tensors(tmp_path / "weights.safetensors")
