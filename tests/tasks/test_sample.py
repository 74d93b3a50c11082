"""Stage sample with a real pipeline at toy size: 8 targets (4 azimuths, 2 elevations) of 16 pixels."""

import filecmp
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from infra.execution.ray_pool import Limits, RayPool
from models.config import NoiseConfig, Precision
from models.inference.pipeline import MVDiffusionPipeline
from models.losses.metrics import MAX_PSNR
from models.network.noise import build_scheduler
from render.fov import change_fov
from render.passes import View
from render.resample import resample
from render.views import SYNCDREAMER_FOV_DEG, ViewKind, ring_cameras, syncdreamer_cameras
from tasks.artifacts.cases import Case, TestSet
from tasks.artifacts.manifest import Kind, open_manifest, seal
from tasks.artifacts.randomness import seed_of
from tasks.artifacts.shards import Members, lay_out, read_item
from tasks.artifacts.views import ViewSet, seal_views, write_views
from tasks.config import SampleConfig
from tasks.evaluation.sampling import Sampler
from tasks.outcome import Done, Failed, Outcome
from tasks.ports import Tools
from tasks.sample import plan_cases, sample_test_sets
from tests.models.precision_checks import VIEWS_DB, AttentionQueries, alike
from tests.models.toy_models import NOISE, toy_pipeline
from tests.tasks.small_views import ENCODE, cameras_of, picture
from tests.tasks.toolbox import make_tools, notes_of

CONFIG = SampleConfig(
    recipe=1,
    stages=("stage1", "stage3"),
    protocols=("sparse", "ring", "gso"),
    conditions=(1, 2),
    scheduler="ddim",
    steps=2,
    guidance=1.0,
    fov="fov_matched",
)


ENLARGED = [
    f"sample: {stage}-gso-1: views of 16 px are enlarged to the 24 px of gso_eval" for stage in ("stage1", "stage3")
]


def write_test_views(folder: Path, shade: int = 120) -> Path:
    ring = ring_cameras(views=8, elevation_deg=30.0, fov_deg=49.13, distance=1.5)
    items = {}
    for number, uid in enumerate(("ball", "cone")):
        cameras = [*cameras_of(number), *ring]
        item = folder / f"{uid}.tar"
        write_views(item, cameras, [View(picture(number, camera, shade)) for camera in cameras], {})
        items[uid] = partial(read_item, item)
    return seal_test_set(folder / "test_views", items, "train")


def write_gso_eval(folder: Path, uids: Sequence[str], side: int = 24) -> Path:
    """A set of SyncDreamer's views, of another size than the model's."""
    items = {}
    for uid in uids:
        cameras = syncdreamer_cameras()
        images = [resample(picture(1, camera), side) for camera in cameras]
        write_views(folder / f"gso-{uid}.tar", cameras, [View(image) for image in images], {})
        items[uid] = partial(read_item, folder / f"gso-{uid}.tar")
    return seal_test_set(folder / "gso_eval", items, "gso")


def seal_test_set(folder: Path, items: Mapping[str, Callable[[], Members]], group: str) -> Path:
    """Seal objects, by uid, as a test set of one group."""
    seal_views(items, lay_out(items, 100), folder)
    seal(folder, Kind.VIEWS, config=ENCODE, inputs={}, outcomes=[Done(uid, {"group": group}) for uid in items])
    return folder


def write_stage(folder: Path, noise: NoiseConfig) -> Path:
    toy_pipeline(build_scheduler(noise, "ddpm")).save_pretrained(folder)
    seal(folder, Kind.DIFFUSION_MODEL, config=noise, inputs={})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_test_views(folder)
    write_gso_eval(folder, ["shoe"])
    for stage in CONFIG.stages:
        write_stage(folder / stage, NOISE)
    make(folder, folder / "samples", make_tools(folder))
    return folder


def make(folder: Path, out: Path, tools: Tools) -> None:
    stages: dict[str, Path] = {stage: folder / stage for stage in CONFIG.stages}
    sample_test_sets(folder / "test_views", folder / "gso_eval", stages, CONFIG, 0, out, tools)


def sets_of(folder: Path) -> dict[TestSet, ViewSet]:
    return {"test_views": ViewSet.open(folder / "test_views"), "gso_eval": ViewSet.open(folder / "gso_eval")}


def test_sample_draws_the_distilled_model_with_its_own_sampler_and_steps(run: Path, tmp_path: Path) -> None:
    parts = toy_pipeline(build_scheduler(NOISE, "ddpm")).components
    pipeline = MVDiffusionPipeline(**parts | {"scheduler": build_scheduler(NOISE, "ddim")}, num_inference_steps=3)
    pipeline.save_pretrained(tmp_path / "distilled")
    seal(tmp_path / "distilled", Kind.DIFFUSION_MODEL, config=NOISE, inputs={})
    config = CONFIG.model_copy(update={"stages": ("distilled",), "protocols": ("sparse",), "scheduler": "unipc"})
    models = {"distilled": tmp_path / "distilled"}
    sample_test_sets(
        run / "test_views", run / "gso_eval", models, config, 0, tmp_path / "samples", make_tools(tmp_path)
    )
    assert [case.name for case in plan_cases(config, sets_of(run))] == ["distilled-sparse-1", "distilled-sparse-2"]
    found = ViewSet.open(tmp_path / "samples" / "distilled-sparse-2")
    views = ViewSet.open(run / "test_views")
    names = views.names("ball", ViewKind.CONDITION)[:2]
    pipeline.set_progress_bar_config(disable=True)
    seed = seed_of(0, "sample", "ball")
    drawn = pipeline(list(views.images("ball", names)), generator=torch.Generator().manual_seed(seed))
    assert pipeline.num_timesteps == 3
    wanted = np.stack([np.array(image) for image in drawn.images])
    assert np.array_equal(found.images("ball", found.names("ball", ViewKind.TARGET)), wanted)


def test_list_cases_asks_only_stage3_with_several_conditions(run: Path) -> None:
    names = [case.name for case in plan_cases(CONFIG, sets_of(run))]
    assert names == [
        *("stage1-sparse-1", "stage1-ring-1", "stage1-gso-1"),
        *("stage3-sparse-1", "stage3-sparse-2", "stage3-ring-1", "stage3-gso-1"),
    ]
    facts = open_manifest(run / "samples", Kind.SAMPLES).facts
    assert [case["name"] for case in facts["cases"]] == names


def test_list_cases_has_only_protocols_that_are_asked_for_and_that_the_sets_have(run: Path, tmp_path: Path) -> None:
    sets = sets_of(run) | {"gso_eval": ViewSet.open(write_gso_eval(tmp_path, []))}
    assert not any(case.protocol == "gso" for case in plan_cases(CONFIG, sets))
    only = CONFIG.model_copy(update={"protocols": ("gso",)})
    assert [case.name for case in plan_cases(only, sets_of(run))] == ["stage1-gso-1", "stage3-gso-1"]
    with pytest.raises(ValueError, match=r"sample\.protocols is gso, and no test set has such views: set"):
        plan_cases(only, sets)


def test_sample_sparse_case_has_all_targets_with_the_test_cameras(run: Path) -> None:
    truth = ViewSet.open(run / "test_views")
    samples = ViewSet.open(run / "samples" / "stage3-sparse-2")
    assert samples.uids == truth.uids
    for uid in samples.uids:
        assert samples.cameras(uid) == truth.cameras(uid, ViewKind.TARGET)
        images = samples.images(uid, samples.names(uid, ViewKind.TARGET))
        assert images.shape == (8, 16, 16, 4)
        assert images.std() > 0


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
@pytest.mark.usefixtures("bfloat16_attention")
def test_sample_gives_attention_queries_of_the_precision(
    run: Path, tmp_path: Path, precision: Precision, dtype: torch.dtype
) -> None:
    config = CONFIG.model_copy(update={"stages": ("stage1",), "protocols": ("sparse",)})
    tools = make_tools(tmp_path, precision=precision)
    sets, models = (run / "test_views", run / "gso_eval"), {"stage1": run / "stage1"}
    with AttentionQueries() as queries:
        sample_test_sets(*sets, models, config, 0, tmp_path / "samples", tools)
    assert queries.dtypes(heads=2) == {dtype}  # of the UNet's fine level and of the image encoder
    assert queries.dtypes(heads=1) == {torch.float32}  # of the VAE, which decodes in float32 beside either
    pixels = [
        ViewSet.open(folder / "stage1-sparse-1").images("ball", ["t00", "t01"])
        for folder in (run / "samples", tmp_path / "samples")
    ]
    similarity = alike(*pixels)
    assert similarity == MAX_PSNR if precision == "fp32" else VIEWS_DB < similarity < 80


def test_sample_ring_case_carries_the_ring_views_it_can_answer(run: Path) -> None:
    samples = ViewSet.open(run / "samples" / "stage1-ring-1")
    assert samples.names("ball", ViewKind.RING) == ["r00", "r02", "r04", "r06"]
    assert {camera.elevation_deg for camera in samples.cameras("ball", ViewKind.RING)} == {30.0}
    assert samples.cameras("ball", ViewKind.TARGET)[0].azimuth_deg == 0.0


@pytest.mark.parametrize("fov", ["fov_matched", "raw"])
def test_sample_gso_case_gives_and_scores_views_at_the_size_and_field_of_view_of_the_files(
    run: Path, fov: Literal["fov_matched", "raw"]
) -> None:
    sampler = Sampler(run / "stage3", CONFIG.model_copy(update={"fov": fov}), 0, "cpu")
    truth = sets_of(run)["gso_eval"]
    cameras, images = sampler.sample(Case("stage3", "gso", 1), "shoe", truth)
    assert [camera.name for camera in cameras] == [f"t{index:02d}" for index in range(8)] + ["r00", "r04", "r08", "r12"]
    assert cameras[8:] == truth.cameras("shoe")[::4]
    assert {image.shape for image in images[:8]} == {(16, 16, 4)}
    row = [image for camera, image in zip(cameras, images, strict=True) if camera.elevation_deg == 30][:4]
    for drawn, seen in zip(row, images[8:], strict=True):
        to_deg = SYNCDREAMER_FOV_DEG if fov == "fov_matched" else 60.0
        np.testing.assert_array_equal(seen, change_fov(drawn, 60.0, to_deg, 24))


def test_sample_by_a_kernel_of_the_profile_gives_the_same_views(run: Path) -> None:
    drawn = []
    for kernel in ("auto", "math"):
        sampler = Sampler(run / "stage3", CONFIG, 0, "cpu", attention_kernel=kernel)
        processors = sampler.pipeline.unet.base.attn_processors.values()
        assert {processor.kernel is not None for processor in processors} == {kernel != "auto"}
        drawn.append(np.stack(sampler.sample(Case("stage3", "sparse", 1), "ball", sets_of(run)["test_views"])[1]))
    assert np.abs(drawn[0].astype(int) - drawn[1]).max() <= 1


def test_sample_same_command_again_gives_equal_views_without_sampling(run: Path) -> None:
    before = {case: (run / "samples" / case / "shard-00000.tar").read_bytes() for case in ("stage1-sparse-1",)}
    tools = make_tools(run)
    make(run, run / "again", tools)
    assert notes_of(tools) == ["sample: 12 of 12 were sampled before, 0 to go", *ENLARGED]
    for case, content in before.items():
        assert (run / "again" / case / "shard-00000.tar").read_bytes() == content


@pytest.mark.slow(seconds=1)
def test_sample_from_scratch_elsewhere_gives_equal_views(run: Path, tmp_path: Path) -> None:
    make(run, tmp_path / "samples", make_tools(tmp_path))
    for case in ("stage1-sparse-1", "stage3-sparse-2", "stage3-ring-1"):
        first, second = (ViewSet.open(folder / case) for folder in (run / "samples", tmp_path / "samples"))
        for uid in first.uids:
            names = first.names(uid)
            assert np.array_equal(first.images(uid, names), second.images(uid, names))


@pytest.mark.slow
def test_sample_in_two_worker_processes_gives_equal_bytes(run: Path, tmp_path: Path) -> None:
    limits = Limits(time_limit=900, recycle_after=100, memory_limit_gb=8)
    with RayPool[Outcome](failed=Failed, workers=2, limits=limits, log_dir=tmp_path / "logs") as pool:
        make(run, tmp_path / "samples", make_tools(tmp_path, pool=pool, threads=4))
    assert len(list((tmp_path / "logs").iterdir())) == 2
    names = sorted(str(path.relative_to(run / "samples")) for path in (run / "samples").rglob("*") if path.is_file())
    assert filecmp.cmpfiles(run / "samples", tmp_path / "samples", names, shallow=False) == (names, [], [])


def test_sample_takes_test_views_that_show_nearly_nothing(run: Path, tmp_path: Path) -> None:
    cameras = cameras_of(0)
    thin = np.zeros((16, 16, 4), dtype=np.uint8)
    thin[3:13, 8] = (200, 30, 30, 96)  # a sign that is seen edge-on
    write_views(tmp_path / "sign.tar", cameras, [View(thin) for _ in cameras], {})
    seal_test_set(tmp_path / "test_views", {"sign": partial(read_item, tmp_path / "sign.tar")}, "held_out")
    models = {"stage3": run / "stage3"}
    config = CONFIG.model_copy(update={"stages": ("stage3",), "protocols": ("sparse",)})
    out = tmp_path / "samples"
    sample_test_sets(tmp_path / "test_views", run / "gso_eval", models, config, 7, out, make_tools(tmp_path))
    assert ViewSet.open(out / "stage3-sparse-1").names("sign", ViewKind.TARGET)


@pytest.mark.slow(seconds=2)
def test_sample_damaged_test_view_fails_alone_and_is_named(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("samples", "again", "work"))
    shard = tmp_path / "run" / "gso_eval" / "shard-00000.tar"
    whole = shard.read_bytes()
    first = whole.index(b"\x89PNG")
    shard.write_bytes(whole[:first] + bytes(40) + whole[first + 40 :])
    tools = make_tools(
        tmp_path, input_hashes={(tmp_path / "run" / "gso_eval").as_posix(): "DVC's, which stays the same"}
    )
    with pytest.raises(
        RuntimeError, match=r"sample: 2 of 12 items failed, .*gso-1/shoe: ValueError: .*tar is damaged: shoe"
    ):
        make(tmp_path / "run", tmp_path / "samples", tools)
    shard.write_bytes(whole)
    make(tmp_path / "run", tmp_path / "samples", tools)
    assert notes_of(tools) == ["sample: 10 of 12 were sampled before, 2 to go", *ENLARGED]
