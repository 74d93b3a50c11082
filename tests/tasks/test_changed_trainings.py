"""Trainings whose section changes after they have begun, with the real tasks at toy size."""

import json
import os
import re
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from models.config import StageConfig
from models.data.latents import LatentSet, ObjectLatents, write_index, write_shard
from models.training.interruption import Interrupted
from tasks.artifacts.manifest import Kind, open_manifest
from tasks.encode import encode_views
from tasks.train_diffusion import train_stage
from tasks.train_vae import train_mask_vae
from tests.forked_ranks import ForkedRanks
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


def train(
    made: Path, folder: Path, config: StageConfig, *, out: str = "out", last: int | None = None, count: int = 1
) -> list[int]:
    """Train stage 1 in a work folder of `folder`, in so many processes; return the clock at each report."""
    tracker = Ending(last)
    tools = replace(make_tools(folder), tracker=tracker, launcher=ForkedRanks(count))
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


@pytest.fixture(scope="module")
def poisoned(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same VAE and latents, but for one number in one condition view of o1."""
    folder = tmp_path_factory.mktemp("poisoned")
    shutil.copytree(made / "vae", folder / "vae")
    shutil.copytree(made / "latents", folder / "latents")
    latents = LatentSet.open(made / "latents")
    num_views, shard = latents.layout.num_targets + latents.num_conditions, latents.objects["o1"].shard
    objects = {}
    for uid in (uid for uid, row in latents.objects.items() if row.shard == shard):
        objects[uid] = ObjectLatents(latents.views(uid, range(num_views)), latents.embeds(uid, range(3)))
    objects["o1"].moments_VCHW[-1, 0, 3, 3] = torch.nan
    write_shard(folder / "latents" / shard, objects)
    write_index(folder / "latents", latents.layout, latents.white(), latents.objects)
    return folder


def error_of(made: Path, folder: Path, config: StageConfig) -> str | None:
    """What a training ends with; None: it ends well."""
    try:
        train(made, folder, config)
    except FloatingPointError as error:
        return str(error)
    return None


@pytest.mark.nightly
@pytest.mark.slow
def test_train_stage_on_a_poisoned_latent_ends_well_when_what_its_errors_advise_is_done(
    poisoned: Path, tmp_path: Path
) -> None:
    config, keys = with_loop(STAGE, checkpoint_every=1), []
    while (said := error_of(poisoned, tmp_path, config)) is not None:
        assert "o1" in said
        advice = re.search(r"with (\[.*\]) in loop.left_out(?:, and set continue_from to (\w{32}))?", said)
        assert advice is not None
        config = with_loop(config, left_out=(*config.loop.left_out, *map(tuple, json.loads(f"[{advice[1]}]"))))
        config = StageConfig.model_validate(config.model_dump() | {"continue_from": advice[2] or config.continue_from})
        keys += [advice[2]] if advice[2] else []
        assert len(keys) < 15
    assert len(keys) >= 2
    manifest = open_manifest(tmp_path / "out", Kind.DIFFUSION_MODEL)
    assert manifest.config["continue_from"] == keys[-1]
    origins = manifest.facts["continued_from"]
    assert [origin["key"] for origin in origins] == keys
    clocks = [origin["samples_seen"] for origin in origins]
    assert clocks == sorted(clocks)
    assert clocks[-1] < 48


@pytest.mark.slow
def test_train_stage_on_a_poisoned_latent_skips_and_counts(poisoned: Path, tmp_path: Path) -> None:
    train(poisoned, tmp_path, with_loop(STAGE, max_skipped_steps=12))
    facts = open_manifest(tmp_path / "out", Kind.DIFFUSION_MODEL).facts
    assert 2 <= facts["skipped_steps"] < 12
    assert "continued_from" not in facts


def key_in(folder: Path) -> str:
    """Name of the only training in a work folder."""
    [key] = [path.name for path in (folder / "work").iterdir() if list(path.glob("*.pt"))]
    return key


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_train_stage_continued_with_a_lower_rate_and_killed_equals_an_undisturbed_one(
    made: Path, tmp_path: Path, count: int
) -> None:
    slower = STAGE.optimizer.model_copy(update={"learning_rate": 1e-4, "schedule": "constant"})
    train(made, tmp_path, STAGE, last=24)
    key = key_in(tmp_path)
    continued = STAGE.model_copy(update={"optimizer": slower, "continue_from": key})
    weights = {}
    for name, stops in (("straight", [None]), ("killed", [32, 40, None])):
        folder = tmp_path / name
        shutil.copytree(tmp_path / "work", folder / "work")
        for last in stops:
            reports = train(made, folder, continued, last=last, count=count)
            assert reports[0] > 24
        weights[name] = (folder / "out" / "unet_raw" / "diffusion_pytorch_model.safetensors").read_bytes()
        facts = open_manifest(folder / "out", Kind.DIFFUSION_MODEL).facts
        assert facts["continued_from"] == [{"key": key, "samples_seen": 24}]
    assert weights["straight"] == weights["killed"]


@pytest.mark.slow
def test_train_vae_continues_another_one_and_says_so(made: Path, tmp_path: Path) -> None:
    tools = make_tools(tmp_path)
    train_mask_vae(made / "views", MASK_VAE, 0, tmp_path / "vae", tools)
    longer = MASK_VAE.loop.model_copy(update={"samples": 24})
    key = key_in(tmp_path)
    train_mask_vae(
        made / "views",
        MASK_VAE.model_copy(update={"loop": longer, "continue_from": key}),
        0,
        tmp_path / "longer",
        replace(tools, tracker=(tracker := MemoryTracker())),
    )
    assert [step for step, _ in tracker.history] == [24]
    facts = open_manifest(tmp_path / "longer", Kind.MASK_VAE).facts
    assert facts["continued_from"] == [{"key": key, "samples_seen": 16}]


@pytest.mark.slow(seconds=2)
def test_train_stage_that_continues_an_unknown_one_is_refused(made: Path, tmp_path: Path) -> None:
    config = STAGE.model_copy(update={"continue_from": "0" * 32})
    with pytest.raises(
        ValueError, match=f"continue_from is {'0' * 32}, but .*/work/{'0' * 32} does not exist; write null"
    ):
        train(made, tmp_path, config)
    with pytest.raises(ValidationError, match="continue_from"):
        StageConfig.model_validate(STAGE.model_dump() | {"continue_from": "../other"})
