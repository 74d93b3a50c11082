"""Inputs made again by the same recipe with other content: what was made of the old ones is not taken up."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.torch import load_file, save_file

from infra.storage.node_cache import NodeCache
from tasks.artifacts.content import content_of, work_key
from tasks.artifacts.manifest import Kind, open_manifest
from tasks.artifacts.views import ViewSet
from tasks.encode import encode_views
from tasks.ports import Tools
from tasks.sample import sample_test_sets
from tasks.train_diffusion import train_stage
from tasks.train_vae import train_mask_vae
from tests.models.toy_models import NOISE
from tests.tasks.small_views import ENCODE, LOOP, write_small_views
from tests.tasks.test_sample import CONFIG as SAMPLE
from tests.tasks.test_sample import write_gso_eval, write_stage, write_test_views
from tests.tasks.test_train_stages import MASK_VAE, STAGE1, STAGE3
from tests.tasks.toolbox import MemoryTracker, make_tools, notes_of

BRIEF: dict[str, Any] = {"loop": LOOP.model_copy(update={"samples": 4}), "drawn_steps": 0}
ONE_STEP, NEXT_STEP = STAGE1.model_copy(update=BRIEF), STAGE3.model_copy(update=BRIEF)


def change_weights(model: Path, folder: Path) -> Path:
    """Copy a model with slightly other weights and the same manifest, as another processor would have made it."""
    shutil.copytree(model, folder)
    for file in folder.rglob("*.safetensors"):
        save_file({name: weight * 1.01 for name, weight in load_file(file).items()}, file, {"format": "pt"})
    return folder


def with_tracker(tools: Tools) -> tuple[Tools, MemoryTracker]:
    tracker = MemoryTracker()
    return replace(tools, tracker=tracker), tracker


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views, VAE, latents and stage 1, each also as the same recipe with other content."""
    folder = tmp_path_factory.mktemp("stale")
    tools = make_tools(folder)
    views = write_small_views(folder)
    write_small_views(folder / "other", shade=9)
    train_mask_vae(views, MASK_VAE, 0, folder / "vae", tools)
    change_weights(folder / "vae", folder / "other" / "vae")
    for place in (folder, folder / "other"):
        encode_views(views, place / "vae", ENCODE, 0, place / "latents", make_tools(place))
    train_stage("stage1", folder / "latents", None, folder / "vae", ONE_STEP, 0, folder / "stage1", tools)
    change_weights(folder / "stage1", folder / "other" / "stage1")
    return folder


@pytest.mark.parametrize("name", ["views", "vae", "latents", "stage1"])
def test_other_content_of_the_same_recipe_has_the_same_fingerprint_and_another_hash(made: Path, name: str) -> None:
    kind = {"views": Kind.VIEWS, "vae": Kind.MASK_VAE, "latents": Kind.LATENTS, "stage1": Kind.DIFFUSION_MODEL}[name]
    one, other = made / name, made / "other" / name
    assert open_manifest(one, kind).fingerprint == open_manifest(other, kind).fingerprint
    tools = make_tools(made)
    assert content_of(one, tools) != content_of(other, tools)


@pytest.mark.slow(seconds=2)
def test_train_vae_of_other_views_starts_anew_and_of_the_same_ones_does_not(made: Path, tmp_path: Path) -> None:
    tools, first = with_tracker(make_tools(tmp_path))
    train_mask_vae(made / "views", MASK_VAE, 0, tmp_path / "vae", tools)
    tools, again = with_tracker(tools)
    train_mask_vae(made / "views", MASK_VAE, 0, tmp_path / "again", tools)
    tools, other = with_tracker(tools)
    train_mask_vae(made / "other" / "views", MASK_VAE, 0, tmp_path / "other", tools)
    assert [step for step, _ in first.history] == [step for step, _ in other.history] == [8, 16]
    assert again.history == []
    assert first.history[-1][1]["train/loss"] != other.history[-1][1]["train/loss"]


@pytest.mark.parametrize("changed", ["views", "vae"])
def test_encode_of_other_inputs_encodes_anew(made: Path, tmp_path: Path, changed: str) -> None:
    tools = make_tools(tmp_path)
    encode_views(made / "views", made / "vae", ENCODE, 0, tmp_path / "one", tools)
    inputs = {name: made / "other" / name if name == changed else made / name for name in ("views", "vae")}
    encode_views(inputs["views"], inputs["vae"], ENCODE, 0, tmp_path / "other", tools)
    for shard in (tmp_path / "one").glob("latents-*.safetensors"):
        one, other = load_file(shard), load_file(tmp_path / "other" / shard.name)
        assert any(not one[name].equal(other[name]) for name in one if name.endswith("moments"))


@pytest.mark.slow
def test_train_stage_from_other_inputs_starts_anew_and_from_the_same_ones_does_not(made: Path, tmp_path: Path) -> None:
    def train(inputs: dict[str, Path], out: str) -> list[int]:
        """The clock at each report of the training: none when it was finished before."""
        tools, tracker = with_tracker(make_tools(tmp_path))
        train_stage("stage2", inputs["latents"], inputs["stage1"], inputs["vae"], NEXT_STEP, 0, tmp_path / out, tools)
        return [step for step, _ in tracker.history]

    same = {name: made / name for name in ("latents", "vae", "stage1")}
    assert train(same, "first") == [4]
    assert train(same, "again") == []
    for changed in same:
        assert train(same | {changed: made / "other" / changed}, f"other-{changed}") == [4], changed


@pytest.mark.slow(seconds=4)
def test_train_stage_copies_other_latents_anew(made: Path, tmp_path: Path) -> None:
    for name, place in (("first", made), ("other", made / "other")):
        copies = NodeCache(str(place / "latents"), tmp_path / "copies", None, attempts=1)
        tools = make_tools(tmp_path / name, latent_cache=copies)
        train_stage("stage1", place / "latents", None, place / "vae", ONE_STEP, 0, tmp_path / name / "stage1", tools)
    assert len(list((tmp_path / "copies").iterdir())) == 2


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test views and the models of two stages, each also with other content."""
    folder = tmp_path_factory.mktemp("asked")
    write_test_views(folder)
    write_test_views(folder / "other", shade=9)
    write_gso_eval(folder, [])
    for stage in SAMPLE.stages:
        change_weights(write_stage(folder / stage, NOISE), folder / "other" / stage)
    return folder


def sample(asked: Path, tmp_path: Path, out: str, **inputs: Path) -> tuple[dict[str, npt.NDArray[np.uint8]], list[str]]:
    """A view of each case, and what the user was told."""
    tools = make_tools(tmp_path)
    stages: dict[str, Path] = {stage: inputs.get(stage, asked / stage) for stage in SAMPLE.stages}
    views = inputs.get("test_views", asked / "test_views")
    sample_test_sets(views, asked / "gso_eval", stages, SAMPLE, 0, tmp_path / out, tools)
    cases = [case["name"] for case in open_manifest(tmp_path / out, Kind.SAMPLES).facts["cases"]]
    return {case: ViewSet.open(tmp_path / out / case).image("ball", "t00") for case in cases}, notes_of(tools)


@pytest.mark.slow(seconds=2)
def test_sample_with_other_weights_samples_anew_the_cases_of_that_model_alone(asked: Path, tmp_path: Path) -> None:
    before, notes = sample(asked, tmp_path, "before")
    assert notes == []
    after, notes = sample(asked, tmp_path, "after", stage3=asked / "other" / "stage3")
    assert notes == ["sample: 4 of 10 were sampled before, 6 to go"]
    for case, image in before.items():
        assert np.array_equal(image, after[case]) == case.startswith("stage1"), case


@pytest.mark.slow(seconds=2)
def test_sample_of_other_test_views_samples_anew(asked: Path, tmp_path: Path) -> None:
    before, _ = sample(asked, tmp_path, "before")
    after, notes = sample(asked, tmp_path, "after", test_views=asked / "other" / "test_views")
    assert notes == []
    assert all(not np.array_equal(image, after[case]) for case, image in before.items())


def test_work_key_follows_recipe_content_and_part(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "weights").write_bytes(b"1")
    tools = make_tools(tmp_path)

    def key(*recipe: Any, **reads: Path) -> str:
        return work_key(*recipe, reads=reads, tools=tools)

    first = key("sample", 0, model=tmp_path / "a")
    assert key("sample", 0, model=tmp_path / "a") == first
    assert key("sample", 1, model=tmp_path / "a") != first
    assert key("sample", 0, views=tmp_path / "a") != first
    shutil.copytree(tmp_path / "a", tmp_path / "moved")
    assert key("sample", 0, model=tmp_path / "moved") == first
    (tmp_path / "a" / "deep" / "weights").write_bytes(b"2")
    assert key("sample", 0, model=tmp_path / "a") != first
    (tmp_path / "moved" / "deep" / "weights").rename(tmp_path / "moved" / "deep" / "renamed")
    assert key("sample", 0, model=tmp_path / "moved") != first


def test_content_of_an_input_whose_hash_is_known_reads_no_file(tmp_path: Path) -> None:
    tools = make_tools(tmp_path, input_hashes={"data/views": "abc.dir"})
    assert content_of(Path("data/views"), tools) == "abc.dir"
