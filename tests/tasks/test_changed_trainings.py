"""Trainings whose section changes after they have begun, with the real tasks at toy size."""

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.config import StageConfig
from models.training.interruption import Interrupted
from tasks.encode import encode_views
from tasks.train_diffusion import train_stage
from tasks.train_vae import train_mask_vae
from tests.tasks.small_views import ENCODE, LOOP, write_small_views
from tests.tasks.test_train_stages import MASK_VAE, STAGE1
from tests.tasks.toolbox import MemoryTracker, make_tools

EACH_STEP = LOOP.model_copy(update={"samples": 48, "log_every": 1, "validate_every": 6, "checkpoint_every": 5})
STAGE = STAGE1.model_copy(update={"loop": EACH_STEP, "drawn_steps": 0})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views, VAE and latents."""
    folder = tmp_path_factory.mktemp("changed")
    views, tools = write_small_views(folder), make_tools(folder)
    train_mask_vae(views, MASK_VAE, 0, folder / "vae", tools)
    encode_views(views, folder / "vae", ENCODE, 0, folder / "latents", tools)
    return folder


class Ending(MemoryTracker):
    """Ends the training as `kill` would, after the step at which the clock is `last`."""

    def __init__(self, last: int | None) -> None:
        super().__init__()
        self._last = last

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        super().metrics(values, step)
        if step == self._last:
            os.kill(os.getpid(), signal.SIGTERM)


def train(made: Path, folder: Path, config: StageConfig, *, out: str = "out", last: int | None = None) -> list[int]:
    """Train stage 1 in a work folder of `folder`; return the clock at each report."""
    tracker = Ending(last)
    tools = replace(make_tools(folder), tracker=tracker)
    try:
        train_stage("stage1", made / "latents", None, made / "vae", config, 0, folder / out, tools)
    except Interrupted:
        assert last is not None
    return [step for step, _ in tracker.history]


def with_loop(config: StageConfig, **changes: Any) -> StageConfig:
    return config.model_copy(update={"loop": config.loop.model_copy(update=changes)})


@pytest.mark.slow
def test_train_stage_goes_on_where_it_was_after_a_change_of_its_intervals(made: Path, tmp_path: Path) -> None:
    assert train(made, tmp_path, STAGE, last=40) == list(range(4, 44, 4))
    sparse = with_loop(STAGE, log_every=2, validate_every=100, checkpoint_every=100)
    drawing = sparse.model_copy(update={"drawn_steps": 1, "drawn_objects": 2})
    assert train(made, tmp_path, drawing) == [48]
    assert train(made, tmp_path / "straight", STAGE)[-1] == 48
    for name in ("unet", "unet_raw"):
        weights = Path(name) / "diffusion_pytorch_model.safetensors"
        assert (tmp_path / "out" / weights).read_bytes() == (tmp_path / "straight" / "out" / weights).read_bytes()
