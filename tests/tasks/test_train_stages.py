"""From views to a trained stage 3, with the real tasks at toy size."""

import csv
import filecmp
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import yaml
from diffusers import AutoencoderKL, DDIMScheduler, UniPCMultistepScheduler
from PIL import Image

from infra.storage.node_cache import NodeCache
from models.config import DistilConfig, MaskVAEConfig, OptimizerConfig, StageConfig
from models.data.images import as_unit_tensor
from models.data.latents import LatentSet, sample_posterior
from models.inference.pipeline import MVDiffusionPipeline, load_pipeline
from models.network.attention import unasked_parameters
from models.network.mask_vae import encode_rgba, load_mask_vae, posterior_moments, scale_latents
from models.network.multiview_unet import MultiViewUNet
from models.training.validation import ValidationSampler
from tasks.artifacts.atomic import read_json
from tasks.artifacts.manifest import Kind, open_manifest
from tasks.artifacts.model_folder import RAW
from tasks.artifacts.views import ViewSet
from tasks.distil import distil_stage
from tasks.encode import encode_views
from tasks.ports import ComputeOptions, Tools
from tasks.train_diffusion import train_stage
from tasks.train_vae import check_sizes, train_mask_vae
from tasks.training.diffusion_model import base_model
from tasks.training.images import evenly_spaced, keep_in_memory, list_images
from tasks.training.stage import start_network, training_objects
from tests.forked_ranks import ForkedRanks, start
from tests.infra.s3 import S3Server
from tests.models.precision_checks import LATENTS_DB, AttentionQueries, below_spread
from tests.models.toy_latents import write_toy_latents
from tests.models.toy_models import NOISE, UNET, VAE
from tests.tasks import held_training
from tests.tasks.small_views import COLUMNS, CONDITIONS, ENCODE, LOOP, cameras_of, picture, write_small_views
from tests.tasks.toolbox import MemoryTracker, make_tools, notes_of

pytestmark = pytest.mark.slow(seconds=2)  # what they share takes 7 s to make
OPTIMIZER = OptimizerConfig(
    learning_rate=1e-3, betas=(0.9, 0.99), weight_decay=0.01, schedule="cosine", warmup_samples=4, max_grad_norm=1.0
)
MASK_VAE = MaskVAEConfig(
    recipe=1,
    vae=VAE,
    crop=None,
    perceptual_weight=0.0,
    lpips_weights=None,
    kl_weight=1e-6,
    mask_weight=1.0,
    discriminator_weight=0.0,
    discriminator_start=0,
    optimizer=OPTIMIZER,
    loop=LOOP,
)
STAGE1 = StageConfig(
    recipe=1,
    unet=UNET,
    start_from="ema",
    noise=NOISE.model_copy(update={"prediction": "epsilon", "network": "epsilon"}),
    kept_targets=3,
    multi_condition_share=0.0,
    multi_conditions=(2, CONDITIONS),
    condition_drop=0.1,
    drawn_steps=2,
    optimizer=OPTIMIZER,
    loop=LOOP,
)
STAGE3 = STAGE1.model_copy(update={"unet": None, "noise": NOISE, "multi_condition_share": 0.5})


@dataclass(frozen=True)
class Made:
    """Everything, and what was reported of each stage."""

    folder: Path
    trackers: dict[str, MemoryTracker]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    return Made(folder, make_everything(folder))


@pytest.fixture(scope="module")
def made(everything: Made) -> Path:
    return everything.folder


def make_everything(folder: Path) -> dict[str, MemoryTracker]:
    """Views, VAE, latents, stage 1 and stage 3 (from stage 1)."""
    trackers = {name: MemoryTracker() for name in ("vae", "latents", "stage1", "stage3")}
    tools = {name: make_tools(folder, tracker=tracker) for name, tracker in trackers.items()}
    views, vae, latents, stage1 = write_small_views(folder), folder / "vae", folder / "latents", folder / "stage1"
    train_mask_vae(views, MASK_VAE, 0, vae, tools["vae"])
    encode_views(views, vae, ENCODE, 0, latents, tools["latents"])
    train_stage("stage1", latents, None, vae, STAGE1, 0, stage1, tools["stage1"])
    train_stage("stage3", latents, stage1, vae, STAGE3, 0, folder / "stage3", tools["stage3"])
    return trackers


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_all_stages_made_twice_in_two_places_give_equal_bytes(made: Path, tmp_path: Path) -> None:
    make_everything(tmp_path)
    for name in ("vae", "latents", "stage1", "stage3"):
        names = files_of(made / name)
        assert files_of(tmp_path / name) == names
        assert filecmp.cmpfiles(made / name, tmp_path / name, names, shallow=False) == (names, [], [])
        assert not any(str(made) in path.read_text() for path in (made / name).rglob("*.json"))


def test_train_vae_leaves_a_model_its_records_and_a_sheet(made: Path) -> None:
    manifest = open_manifest(made / "vae", Kind.MASK_VAE)
    vae = AutoencoderKL.from_pretrained(made / "vae")
    assert (vae.config.in_channels, vae.config.out_channels) == (4, 4)
    rows = list(csv.DictReader((made / "vae" / "history.csv").open()))
    assert [row["samples_seen"] for row in rows] == ["8", "16"]
    assert {"loss", "l1", "mask_bce", "kl", "lr", "grad_norm", "val_psnr", "val_mask_iou"} < rows[0].keys()
    metrics = read_json(made / "vae" / "metrics.json")
    assert metrics["val_psnr"] == pytest.approx(float(rows[-1]["val_psnr"]))
    assert manifest.facts["scaling_factor"] == vae.config.scaling_factor
    assert vae.config.sample_size == 16
    with Image.open(made / "vae" / "sheets" / "reconstructions.png") as sheet:
        assert sheet.height > 2 * 16


def test_train_vae_from_scratch_scales_latents_to_unit_deviation(made: Path) -> None:
    """Of posterior samples, which are what the diffusion is trained on; 33 small pictures tell it to a few per cent."""
    vae = AutoencoderKL.from_pretrained(made / "vae")
    pictures = evenly_spaced(list_images(ViewSet.open(made / "views"), "train"), 64)
    moments = posterior_moments(vae, as_unit_tensor(pictures, torch.device("cpu")))
    noise = torch.randn(moments[:, :4].shape, generator=torch.Generator().manual_seed(0))
    scaled = sample_posterior(moments, noise) * vae.config.scaling_factor
    assert scaled.std().item() == pytest.approx(1, abs=0.05)


def test_encode_stored_means_are_those_of_the_vae(made: Path) -> None:
    latents = LatentSet.open(made / "latents")
    vae = AutoencoderKL.from_pretrained(made / "vae")
    assert latents.uids() == ["o0", "o1", "o2", "o3"]
    assert latents.uids("val") == ["o3"]
    assert latents.objects["o1"].condition_columns == [1, 3, 1]
    assert (latents.layout.num_targets, latents.layout.num_columns) == (8, COLUMNS)
    assert latents.layout.geometry["elevations_deg"] == [0.0, 30.0]
    for view, camera in ((5, cameras_of(1)[5]), (9, cameras_of(1)[9])):
        with torch.no_grad():
            rgba = as_unit_tensor(picture(1, camera)[None], torch.device("cpu"))
            expected = encode_rgba(vae, rgba) / vae.config.scaling_factor
        stored = latents.views("o1", [view])[:, :4]
        torch.testing.assert_close(stored, expected, atol=2e-3, rtol=2e-3)
    with torch.no_grad():
        white = encode_rgba(vae, torch.ones(1, 4, 16, 16)) / vae.config.scaling_factor
    torch.testing.assert_close(latents.white()[:, :4], white, atol=2e-3, rtol=2e-3)


@pytest.mark.usefixtures("bfloat16_attention")
def test_encode_in_bf16_gives_nearly_the_same_latents_and_the_same_image_encoder(made: Path, tmp_path: Path) -> None:
    tools = make_tools(tmp_path, precision="bf16")
    with AttentionQueries() as queries:
        encode_views(made / "views", made / "vae", ENCODE, 0, tmp_path / "latents", tools)
    assert queries.dtypes() == {torch.bfloat16}
    exact, half = LatentSet.open(made / "latents"), LatentSet.open(tmp_path / "latents")
    found = [latents.views(uid, range(11)) for latents in (exact, half) for uid in exact.uids()]
    moments, halved = torch.stack(found[:4]), torch.stack(found[4:])
    for part in (slice(4), slice(4, 8)):  # mean, log variance
        assert LATENTS_DB < below_spread(moments[:, :, part], halved[:, :, part]) < 80
    embeds, approximate = (latents.embeds("o1", [0, 1, 2]) for latents in (exact, half))
    assert LATENTS_DB < below_spread(embeds, approximate) < 80
    names = files_of(made / "latents" / "image_encoder")
    folders = (made / "latents" / "image_encoder", tmp_path / "latents" / "image_encoder")
    assert filecmp.cmpfiles(*folders, names, shallow=False) == (names, [], [])


def test_encode_shards_follow_the_views(made: Path) -> None:
    views, latents = ViewSet.open(made / "views"), LatentSet.open(made / "latents")
    for uid in views.uids:
        number = views.reader.shard(uid).stem.removeprefix("shard-")
        assert latents.objects[uid].shard == f"latents-{number}.safetensors"


def test_encode_condition_between_columns_is_refused(made: Path, tmp_path: Path) -> None:
    views = write_small_views(tmp_path, offset_deg=20.0)
    with pytest.raises(ValueError, match=r"o0\.c00 stands at azimuth 20\.0"):
        encode_views(views, made / "vae", ENCODE, 0, tmp_path / "latents", make_tools(tmp_path))
    assert not (tmp_path / "latents" / "index.safetensors").exists()


def test_encode_again_after_a_crash_keeps_finished_shards(made: Path, tmp_path: Path) -> None:
    tools = make_tools(tmp_path)
    encode_views(made / "views", made / "vae", ENCODE, 0, tmp_path / "first", tools)
    finished = {path: path.stat().st_mtime_ns for path in tools.work.rglob("*.safetensors")}
    assert finished
    encode_views(made / "views", made / "vae", ENCODE, 0, tmp_path / "second", tools)
    assert {path: path.stat().st_mtime_ns for path in tools.work.rglob("*.safetensors")} == finished
    assert LatentSet.open(tmp_path / "second").uids() == ["o0", "o1", "o2", "o3"]


def test_train_stage_leaves_a_card_that_says_what_the_model_is(made: Path) -> None:
    cards = {stage: (made / stage / "README.md").read_text() for stage in ("stage1", "stage3")}
    front = yaml.safe_load(cards["stage3"].split("---")[1])
    assert front["license"] == "mit"
    assert front["pipeline_tag"] == "image-to-3d"
    assert "base_model" not in front
    assert "| stage | 1 of 3 |" in cards["stage1"]
    assert "| loss | mean squared error of epsilon |" in cards["stage1"]
    assert "| condition images | one |" in cards["stage1"]
    assert "| objects | 3 |" in cards["stage3"]
    assert str(made) not in cards["stage3"]
    code = cards["stage3"].split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert "num_inference_steps" not in code


def test_train_stage_card_names_the_published_weights_it_began_with(tmp_path: Path) -> None:
    config = STAGE1.model_copy(update={"unet": UNET.model_copy(update={"pretrained": "owner/name@main/unet"})})
    assert base_model(config, None) == "owner/name"
    local = STAGE1.model_copy(update={"unet": UNET.model_copy(update={"pretrained": str(tmp_path)})})
    assert base_model(local, None) is None


def test_train_stage_leaves_a_pipeline_that_samples(made: Path) -> None:
    pipeline = MVDiffusionPipeline.from_pretrained(made / "stage3")
    pipeline.set_progress_bar_config(disable=True)
    images = [picture(0, camera) for camera in cameras_of(0)[8:10]]
    generator = torch.Generator().manual_seed(0)
    views = pipeline(images, num_inference_steps=2, generator=generator, output_type="np").images
    assert len(views) == 8
    assert views[0].shape == (16, 16, 4)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    assert isinstance(pipeline.scheduler, UniPCMultistepScheduler)
    assert pipeline.default_steps == 20
    assert pipeline.unet.config.condition_drop == STAGE3.condition_drop == 0.1
    assert open_manifest(made / "stage3", Kind.DIFFUSION_MODEL).facts["stage"] == "stage3"


def test_train_stage_keeps_averaged_and_newest_weights(made: Path) -> None:
    averaged = MultiViewUNet.from_pretrained(made / "stage1" / "unet").state_dict()
    newest = MultiViewUNet.from_pretrained(made / "stage1" / "unet_raw").state_dict()
    assert averaged.keys() == newest.keys()
    assert any(not torch.equal(averaged[name], newest[name]) for name in averaged)


@pytest.mark.slow(seconds=1)
@pytest.mark.parametrize(("start_from", "folder"), [("ema", "unet"), ("raw", "unet_raw")])
def test_train_stage_starts_from_the_weights_asked_for(
    made: Path, tmp_path: Path, start_from: str, folder: str
) -> None:
    still = STAGE3.optimizer.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    loop = LOOP.model_copy(update={"samples": 4})
    config = STAGE3.model_copy(update={"start_from": start_from, "optimizer": still, "loop": loop})
    tools = make_tools(tmp_path)
    train_stage("stage2", made / "latents", made / "stage1", made / "vae", config, 0, tmp_path / "stage2", tools)
    before = MultiViewUNet.from_pretrained(made / "stage1" / folder).state_dict()
    after = MultiViewUNet.from_pretrained(tmp_path / "stage2" / "unet_raw").state_dict()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-9, rtol=1e-6)


@pytest.mark.slow(seconds=4)
def test_train_stage_that_spares_what_nothing_uses_leaves_it_as_it_was(made: Path, tmp_path: Path) -> None:
    network = UNET.model_copy(update={"generation_input": "reference", "view_scale": 1.0})
    optimizer = OPTIMIZER.model_copy(update={"decayed": "matrices", "weight_decay": 0.5})
    config = STAGE1.model_copy(update={"unet": network, "optimizer": optimizer})
    latents, tools = made / "latents", make_tools(tmp_path)
    train_stage("stage1", latents, None, made / "vae", config, 0, tmp_path / "stage1", tools)
    start = start_network("stage1", LatentSet.open(latents), None, config, 0)
    trained = MultiViewUNet.from_pretrained(tmp_path / "stage1" / RAW)
    names = {id(weight): name for name, weight in start.named_parameters()}
    unasked = {names[id(weight)] for weight in unasked_parameters(start)}
    before, after = start.state_dict(), trained.state_dict()
    assert unasked
    assert {name for name in before if torch.equal(before[name], after[name])} == unasked
    assert trained.config.generation_input == "reference"
    assert abs(trained.view_scale.item() - 1) < 0.1
    later = STAGE3.model_copy(update={"optimizer": optimizer})
    train_stage("stage3", latents, tmp_path / "stage1", made / "vae", later, 0, tmp_path / "stage3", tools)
    continued = MVDiffusionPipeline.from_pretrained(tmp_path / "stage3").unet
    assert continued.config.generation_input == "reference"
    assert not any(torch.equal(after[name], continued.state_dict()[name]) for name in unasked)


def test_all_diffusion_trainings_report_the_same_names(everything: Made) -> None:
    trackers = everything.trackers
    reported = [[(step, sorted(values)) for step, values in trackers[name].history] for name in ("stage1", "stage3")]
    assert trackers["stage1"].models == [(everything.folder / "stage1", "stage1")]
    assert reported[0] == reported[1]
    assert reported[0][-1][0] == 16
    assert set(reported[0][-1][1]) == {
        "train/loss",
        "train/lr",
        "train/grad_norm",
        "train/view_scale",
        "train/view_share",
        "train/samples_per_second",
        "train/data_wait_share",
        "train/memory_gib",
        "val/loss",
        "val/psnr",
        "val/ssim",
        "val/mask_iou",
        *(f"val/azimuth_{name}" for name in ("alike", "hit_rate", "margin", "chance")),
        *(f"val/loss_q{quartile}" for quartile in (1, 2, 3, 4)),
    }


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("stage1", {"unet": None}, "describe the network"),
        ("stage1", {"unet": UNET.model_copy(update={"cross_attention_dim": 32})}, "projection_dim"),
        ("stage1", {"multi_condition_share": 0.5, "multi_conditions": (2, 9)}, "up to unet.max_condition_views, 3"),
        ("stage1", {"kept_targets": 9}, "kept_targets is 9"),
    ],
)
def test_train_stage_impossible_configuration_is_refused(
    made: Path, tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    config = STAGE1.model_copy(update=changes)
    with pytest.raises(ValueError, match=message):
        train_stage(name, made / "latents", None, made / "vae", config, 0, tmp_path / "out", make_tools(tmp_path))


def test_train_stage_latents_of_another_vae_are_refused(made: Path, tmp_path: Path) -> None:
    other = MASK_VAE.model_copy(update={"kl_weight": 1e-5})
    tools = make_tools(tmp_path)
    train_mask_vae(made / "views", other, 0, tmp_path / "other", tools)
    with pytest.raises(ValueError, match="another VAE"):
        train_stage("stage1", made / "latents", None, tmp_path / "other", STAGE1, 0, tmp_path / "out", tools)


@pytest.mark.parametrize("crop", [24, 10])
def test_check_sizes_crop_that_does_not_fit_is_refused(crop: int) -> None:
    with pytest.raises(ValueError, match=f"crop is {crop}"):
        check_sizes(MASK_VAE.model_copy(update={"crop": crop, "vae": VAE}), side=16 if crop == 24 else 5)


def test_pictures_in_memory_equal_those_on_disk(made: Path) -> None:
    pictures = list_images(ViewSet.open(made / "views"), "train")
    kept = keep_in_memory(pictures)
    assert len(pictures) == len(kept) == 3 * 11
    assert type(kept) is not type(pictures)
    for index in (0, 17, 32):
        assert np.array_equal(pictures[index], kept[index])
        assert pictures.name(index) == kept.name(index)
    assert keep_in_memory(pictures, limit=1) is pictures


LONGER = STAGE1.model_copy(update={"loop": LOOP.model_copy(update={"samples": 40, "checkpoint_every": 1000})})


def start_stage(made: Path, folder: Path, count: int, *, is_held: bool = False) -> BaseProcess:
    folder.mkdir(exist_ok=True)
    return start(partial(held_training.train, made, folder, LONGER, count, is_held=is_held))


@pytest.fixture(scope="module")
def undisturbed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Stage 1 by so many processes, made once each."""

    @cache
    def make(count: int) -> Path:
        folder = tmp_path_factory.mktemp(f"undisturbed-{count}") / "run"
        end_well(start_stage(made, folder, count), folder)
        return folder / "stage1"

    return make


def end_well(process: BaseProcess, folder: Path) -> None:
    process.join(900)
    assert process.exitcode == 0, (folder / "log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("count", "number"),
    [
        (1, signal.SIGTERM),
        pytest.param(2, signal.SIGTERM, marks=pytest.mark.nightly),
        # by day one of two ranks is killed in tests/models/training/test_distributed.py
        pytest.param(2, signal.SIGKILL, marks=pytest.mark.nightly),
    ],
)
def test_train_stage_that_is_ended_goes_on_and_equals_an_undisturbed_one(
    made: Path, undisturbed: Callable[[int], Path], tmp_path: Path, count: int, number: signal.Signals
) -> None:
    folder = tmp_path / "killed"
    killed = start_stage(made, folder, count, is_held=True)
    deadline = time.monotonic() + 600
    while not (folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert killed.pid is not None
    os.kill(killed.pid, number)
    (folder / "signalled").touch()
    killed.join(600)
    if number == signal.SIGTERM:
        assert killed.exitcode == 1
        assert "run the same command again" in (folder / "log").read_text()
    if count > 1:
        await_end(folder)
    assert not (folder / "stage1").exists()
    end_well(start_stage(made, folder, count), folder)
    straight, resumed = undisturbed(count), folder / "stage1"
    names = files_of(straight)
    assert filecmp.cmpfiles(straight, resumed, names, shallow=False) == (names, [], [])


def await_end(folder: Path) -> None:
    """Until no process has `folder` in its command: the ranks outlive the stage by a step."""
    deadline = time.monotonic() + 600
    while any(str(folder) in " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline, "a training process is left"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "compute",
    [
        ComputeOptions(),
        pytest.param(
            ComputeOptions(shard_weights=True, recompute_levels=(0,), micro_batch=1), marks=pytest.mark.nightly
        ),
    ],
)
def test_train_stage_with_two_processes_makes_what_one_makes(
    made: Path, tmp_path: Path, compute: ComputeOptions
) -> None:
    tracker = MemoryTracker()
    tools = replace(make_tools(tmp_path, tracker=tracker), launcher=ForkedRanks(2), compute=compute)
    train_stage("stage1", made / "latents", None, made / "vae", STAGE1, 0, tmp_path / "stage1", tools)
    for one, two in zip(history_of(made / "stage1"), history_of(tmp_path / "stage1"), strict=True):
        assert {name: float(value) for name, value in two.items() if value} == pytest.approx(
            {name: float(value) for name, value in one.items() if value}, rel=1e-3
        )
    alone = MultiViewUNet.from_pretrained(made / "stage1" / "unet").state_dict()
    for name, weight in MultiViewUNet.from_pretrained(tmp_path / "stage1" / "unet").state_dict().items():
        torch.testing.assert_close(weight, alone[name], rtol=1e-2, atol=1e-4, msg=name)
    assert [step for step, values in tracker.history if "val/loss" in values] == [8, 16]
    small = STAGE1.model_copy(update={"loop": LOOP.model_copy(update={"batch_size": 1})})
    train_stage("stage1", made / "latents", None, made / "vae", small, 0, tmp_path / "small", tools)
    desks = list((tmp_path / "work").glob("*/together-*"))
    assert len(desks) == 1, "one sample a step: no second process to feed"


class ThreeRanks(ForkedRanks):
    """Starts three ranks however few are asked for, as a launcher of a profile does."""

    def run(
        self,
        work: Callable[[], None],
        folder: Path,
        watch: Callable[[], None],
        count: int,  # noqa: ARG002
        *,
        reads: Sequence[Path] = (),
        writes: Sequence[Path] = (),
    ) -> None:
        super().run(work, folder, watch, 3, reads=reads, writes=writes)


@pytest.mark.slow
def test_train_vae_in_more_processes_than_samples_makes_what_one_makes(made: Path, tmp_path: Path) -> None:
    config = MASK_VAE.model_copy(update={"loop": LOOP.model_copy(update={"batch_size": 2})})
    alone = make_tools(tmp_path / "alone")
    train_mask_vae(made / "views", config, 0, tmp_path / "alone" / "vae", alone)
    train_mask_vae(made / "views", config, 0, tmp_path / "vae", replace(make_tools(tmp_path), launcher=ThreeRanks(3)))
    for one, three in zip(history_of(tmp_path / "alone" / "vae"), history_of(tmp_path / "vae"), strict=True):
        assert {name: float(value) for name, value in three.items() if value} == pytest.approx(
            {name: float(value) for name, value in one.items() if value}, rel=1e-3
        )


@pytest.mark.slow
def test_launcher_that_starts_other_processes_than_the_profile_says_is_refused(made: Path, tmp_path: Path) -> None:
    tools = replace(make_tools(tmp_path), launcher=ThreeRanks(2))
    with pytest.raises(RuntimeError, match="started 3 processes, but `trainers` in the profile says 2"):
        train_mask_vae(made / "views", MASK_VAE, 0, tmp_path / "vae", tools)


@pytest.mark.slow
def test_train_stage_from_a_busy_s3_server_makes_what_local_latents_make(
    made: Path, tmp_path: Path, s3: S3Server
) -> None:
    url = s3.upload(made / "latents", "training", "latents")
    s3.busy = 2
    copies = NodeCache(url, tmp_path / "copies", s3.url, attempts=4)
    tools = make_tools(tmp_path, latent_cache=copies)
    train_stage("stage1", made / "latents", None, made / "vae", STAGE1, 0, tmp_path / "stage1", tools)
    assert files_of(tmp_path / "stage1") == files_of(made / "stage1")
    for path in (made / "stage1" / "unet").iterdir():
        assert path.read_bytes() == (tmp_path / "stage1" / "unet" / path.name).read_bytes()
    copy = next((tmp_path / "copies").rglob("*.safetensors"))
    copy.write_bytes(copy.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=rf"{copy}, a copy, is broken .*; remove it"):
        train_stage("stage1", made / "latents", None, made / "vae", STAGE1, 1, tmp_path / "again", tools)


@pytest.mark.slow(seconds=3)
def test_train_stage_that_recomputes_rounds_norms_and_splits_its_batches_makes_the_same(
    made: Path, tmp_path: Path
) -> None:
    saving = ComputeOptions(
        micro_batch=1, recompute_levels=(1,), recompute_feed_forward=True, rounded_norms=True, attention_kernel="math"
    )
    tools = replace(make_tools(tmp_path), compute=saving)
    train_stage("stage1", made / "latents", None, made / "vae", STAGE1, 0, tmp_path / "stage1", tools)
    plain = MultiViewUNet.from_pretrained(made / "stage1" / "unet").state_dict()
    for name, weight in MultiViewUNet.from_pretrained(tmp_path / "stage1" / "unet").state_dict().items():
        torch.testing.assert_close(weight, plain[name], rtol=1e-2, atol=1e-4, msg=name)
    vae = replace(make_tools(tmp_path), compute=replace(saving, vae_micro_batch=3))
    train_mask_vae(made / "views", MASK_VAE, 0, tmp_path / "vae", vae)
    plain = AutoencoderKL.from_pretrained(made / "vae").state_dict()
    for name, weight in AutoencoderKL.from_pretrained(tmp_path / "vae").state_dict().items():
        torch.testing.assert_close(weight, plain[name], rtol=1e-2, atol=1e-3, msg=name)


def test_train_stage_shows_what_each_validation_draws(everything: Made) -> None:
    pictures = everything.trackers["stage3"].images
    assert [name for _, name in pictures] == [f"drawn/samples-{clock:012d}" for clock in (8, 16)]
    with Image.open(pictures[-1][0]) as sheet:
        assert sheet.width > 8 * 16
        assert len(np.unique(np.asarray(sheet.convert("RGB")).reshape(-1, 3), axis=0)) > 100


def history_of(model: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((model / "history.csv").open()))


def test_validation_averages_over_the_objects_that_it_draws_and_shows_all(made: Path) -> None:
    """Each object is drawn from the same noise, whatever others are drawn."""
    latents, vae = LatentSet.open(made / "latents"), load_mask_vae(made / "vae")
    white = scale_latents(vae, latents.white()[0, : latents.layout.latent_channels])
    shown: list[int] = []

    def scores_of(*uids: str) -> dict[str, float]:
        sampler = ValidationSampler(
            vae, NOISE, latents, uids, 2, white, lambda drawn, true: shown.append(len(drawn) + len(true))
        )
        return sampler.evaluate(MultiViewUNet.from_pretrained(made / "stage1" / "unet"))

    one, other, both = scores_of("o1"), scores_of("o3"), scores_of("o1", "o3")
    assert shown == [16, 16, 32]
    assert one["val/psnr"] != other["val/psnr"]
    assert one["val/azimuth_chance"] == 1 / COLUMNS
    for name in ("val/psnr", "val/ssim", "val/mask_iou", "val/azimuth_hit_rate", "val/azimuth_margin"):
        assert both[name] == pytest.approx((one[name] + other[name]) / 2)


def test_number_of_drawn_objects_changes_no_manifest_until_it_is_another() -> None:
    assert "drawn_objects" not in STAGE1.model_dump(mode="json")
    assert STAGE1.model_copy(update={"drawn_objects": 2}).model_dump(mode="json")["drawn_objects"] == 2


def test_fewer_objects_are_among_more_and_spread_over_the_uids(tmp_path: Path) -> None:
    latents = write_toy_latents(tmp_path, num_objects=21)
    drawn = {
        count: training_objects(latents, STAGE1.model_copy(update={"max_objects": count}))
        for count in (2, 8, 20, 1000, None)
    }
    everything = latents.uids("train")
    assert drawn[20] == drawn[1000] == drawn[None] == everything
    assert [len(drawn[2]), len(drawn[8])] == [2, 8]
    assert set(drawn[2]) < set(drawn[8])
    assert drawn[8] == sorted(drawn[8]) != everything[:8]


def test_model_of_fewer_objects_says_how_many_it_has_learnt_from(made: Path, tmp_path: Path) -> None:
    few = STAGE1.model_copy(update={"max_objects": 1, "loop": LOOP.model_copy(update={"samples": 4}), "drawn_steps": 0})
    train_stage("stage1", made / "latents", None, made / "vae", few, 0, tmp_path / "few", make_tools(tmp_path))
    manifest = open_manifest(tmp_path / "few", Kind.DIFFUSION_MODEL)
    assert manifest.facts["num_objects"] == 1
    assert manifest.config["max_objects"] == 1
    assert "max_objects" not in open_manifest(made / "stage1", Kind.DIFFUSION_MODEL).config


DISTIL = DistilConfig(recipe=1, steps=2, teacher_steps=10, drawn_objects=1, optimizer=OPTIMIZER, loop=LOOP)


def distil(made: Path, folder: Path, config: DistilConfig, tools: Tools) -> Path:
    distil_stage(made / "latents", made / "vae", made / "stage3", config, STAGE3, 0, folder / "distilled", tools)
    return folder / "distilled"


@pytest.mark.slow(seconds=4)
def test_distil_leaves_a_pipeline_that_says_its_sampler_and_steps(made: Path, tmp_path: Path) -> None:
    tracker = MemoryTracker()
    folder = distil(made, tmp_path, DISTIL, make_tools(tmp_path, tracker=tracker))
    pipeline = load_pipeline(folder, scheduler=None, device="cpu")
    assert isinstance(pipeline.scheduler, DDIMScheduler)
    assert pipeline.default_steps == 2
    assert pipeline.unet.config.condition_drop == STAGE3.condition_drop
    drawn = pipeline([picture(0, cameras_of(0)[8])], generator=torch.Generator().manual_seed(0), output_type="latent")
    assert drawn.latents.isfinite().all()
    assert pipeline.num_timesteps == 2
    teacher = MultiViewUNet.from_pretrained(made / "stage3" / "unet").state_dict()
    assert any(not torch.equal(teacher[name], value) for name, value in pipeline.unet.state_dict().items())
    manifest = open_manifest(folder, Kind.DIFFUSION_MODEL)
    assert manifest.inputs["previous"] == open_manifest(made / "stage3", Kind.DIFFUSION_MODEL).fingerprint
    assert manifest.facts["steps"] == 2
    assert "| stage | distilled from stage 3, draws in 2 steps of DDIM |" in (folder / "README.md").read_text()
    assert {"loss", "val_loss", "val_psnr"} < history_of(folder)[-1].keys()
    assert tracker.models == [(folder, "distilled")]
    assert tracker.images


def test_distil_that_is_off_leaves_a_sealed_folder_that_says_so(made: Path, tmp_path: Path) -> None:
    tracker = MemoryTracker()
    tools = make_tools(tmp_path, tracker=tracker)
    folder = distil(made, tmp_path, DISTIL.model_copy(update={"steps": None}), tools)
    assert files_of(folder) == ["README.md", "ledger.jsonl", "manifest.json"]
    assert "`distil.steps` in params.yaml is null" in (folder / "README.md").read_text()
    assert open_manifest(folder, Kind.DIFFUSION_MODEL).config["steps"] is None
    assert notes_of(tools) == ["distil: distil.steps is null, so nothing is distilled"]
    assert tracker.models == []


@pytest.mark.slow
def test_distil_with_two_processes_makes_what_one_makes(made: Path, tmp_path: Path) -> None:
    one = distil(made, tmp_path / "one", DISTIL, make_tools(tmp_path / "one"))
    tools = replace(make_tools(tmp_path / "two"), launcher=ForkedRanks(2))
    two = distil(made, tmp_path / "two", DISTIL, tools)
    for alone, together in zip(history_of(one), history_of(two), strict=True):
        assert {name: float(value) for name, value in together.items() if value} == pytest.approx(
            {name: float(value) for name, value in alone.items() if value}, rel=1e-3
        )
