"""Stage encode over a pool: any number of workers and whatever goes wrong, the same latents."""

import errno
import filecmp
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from infra.execution.ray_pool import Limits, RayPool
from models.data.latents import LatentSet, sample_posterior
from models.network.mask_vae import load_mask_vae
from tasks.artifacts.manifest import MANIFEST, Kind, open_manifest, seal
from tasks.artifacts.shards import Layout, ShardReader, lay_out, read_item
from tasks.artifacts.views import seal_views
from tasks.encode import EncodeJob, encode_views
from tasks.outcome import Done, Failed, Outcome
from tasks.ports import Tools
from tasks.train_vae import train_mask_vae
from tests.small_disk import small_disk
from tests.tasks import encode_faults
from tests.tasks.small_views import CONDITIONS, ENCODE, write_small_views
from tests.tasks.test_train_stages import MASK_VAE, files_of
from tests.tasks.toolbox import make_tools, notes_of

LIMITS = Limits(time_limit=900, recycle_after=100, memory_limit_gb=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views in three shards, a VAE, and the latents that one process makes of them."""
    folder = tmp_path_factory.mktemp("encode")
    train_mask_vae(write_small_views(folder, num_objects=5), MASK_VAE, 0, folder / "vae", make_tools(folder))
    encode(folder, folder, make_tools(folder))
    return folder


def encode(made: Path, folder: Path, tools: Tools, views: Path | None = None) -> None:
    shutil.rmtree(folder / "latents", ignore_errors=True)  # as DVC does
    encode_views(views or made / "views", made / "vae", ENCODE, 0, folder / "latents", tools)


def ray_pool(folder: Path, workers: int) -> RayPool[Outcome]:
    return RayPool[Outcome](failed=Failed, workers=workers, limits=LIMITS, log_dir=folder / "logs")


def assert_equal_bytes(one: Path, other: Path) -> None:
    names = files_of(one)
    assert files_of(other) == names
    assert filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    "workers", [pytest.param(1, marks=pytest.mark.nightly), 2]
)  # that share two threads, while the process of the fixture has one
def test_encode_in_worker_processes_gives_equal_bytes(made: Path, tmp_path: Path, workers: int) -> None:
    with ray_pool(tmp_path, workers) as pool:
        encode(made, tmp_path, make_tools(tmp_path, pool=pool, threads=2))
    assert len(list((tmp_path / "logs").iterdir())) == workers
    assert_equal_bytes(made / "latents", tmp_path / "latents")


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [encode_faults.be_killed_once, pytest.param(encode_faults.be_killed_at_the_end, marks=pytest.mark.nightly)],
)
def test_encode_worker_that_is_killed_once_costs_nothing(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[EncodeJob], Outcome]
) -> None:
    monkeypatch.setattr("tasks.encode.encode_shard", fault)
    with ray_pool(tmp_path, 2) as pool:
        encode(made, tmp_path, make_tools(tmp_path, pool=pool, threads=2))
    assert list(tmp_path.glob("work/*/fault")), "the fault did happen"
    assert_equal_bytes(made / "latents", tmp_path / "latents")


def test_encode_records_mean_and_deviation_of_every_channel(made: Path) -> None:
    latents, vae = LatentSet.open(made / "latents"), load_mask_vae(made / "vae")
    views = torch.cat([latents.views(uid, range(latents.layout.num_targets + CONDITIONS)) for uid in latents.uids()])
    samples = vae.config.scaling_factor * sample_posterior(views, torch.randn(views[:, :4].shape))
    facts = open_manifest(made / "latents", Kind.LATENTS).facts["scaled_latents"]
    assert facts["means_C"] == pytest.approx(samples.mean((0, 2, 3)).tolist(), abs=0.1)
    assert facts["deviations_C"] == pytest.approx(samples.std((0, 2, 3)).tolist(), rel=0.1)
    assert facts["deviation"] == pytest.approx(1, abs=0.1)  # a VAE from scratch is scaled so


def test_encode_warns_of_latents_that_are_scaled_wrongly_also_where_sums_are_lost(made: Path, tmp_path: Path) -> None:
    vae = load_mask_vae(shutil.copytree(made / "vae", tmp_path / "vae"))
    vae.register_to_config(scaling_factor=3 * vae.config.scaling_factor)
    vae.save_pretrained(tmp_path / "vae")
    told = []
    for _ in range(2):
        tools = make_tools(tmp_path)
        encode_views(made / "views", tmp_path / "vae", ENCODE, 0, tmp_path / "latents", tools)
        told.append([note for note in notes_of(tools) if "the scaled latents deviate by" in note])
        for sums in tmp_path.glob("work/*/*.json"):
            sums.unlink()
    assert len(told[0]) == 1
    assert told[0] == told[1]
    stopping = ENCODE.model_copy(update={"off_scale": "stop"})
    with pytest.raises(ValueError, match=r"the scaled latents deviate by .*set encode.off_scale to warn"):
        encode_views(made / "views", tmp_path / "vae", stopping, 0, tmp_path / "refused", make_tools(tmp_path))
    assert not (tmp_path / "refused" / MANIFEST).exists()


def test_encode_of_one_object_more_encodes_its_shard_alone(made: Path, tmp_path: Path) -> None:
    tools = make_tools(tmp_path)
    encode(made, tmp_path, tools)
    write_small_views(tmp_path / "more", num_objects=6)
    reader = ShardReader.open(made / "views")
    before = Layout(2, {uid: reader.shard(uid).name for uid in reader.uids})
    items = {
        uid: partial(read_item, tmp_path / "more" / "items" / "items" / f"{uid}.tar") for uid in (*reader.uids, "o5")
    }
    views = tmp_path / "views"
    seal_views(items, lay_out(items, 2, before), views)
    outcomes = [Done(uid, {"split": "val" if uid == "o4" else "train"}) for uid in items]
    seal(views, Kind.VIEWS, config=ENCODE, inputs={}, outcomes=outcomes)
    encode(made, tmp_path, tools, views)
    assert notes_of(tools) == ["encode: 2 of 3 were finished before, 1 to go"]
    assert len(list(tools.work.glob("*/*.safetensors"))) == 3, "the shard of before is gone"
    encode(made, tmp_path / "anew", make_tools(tmp_path / "anew"), views)
    assert_equal_bytes(tmp_path / "anew" / "latents", tmp_path / "latents")


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_encode_damaged_view_shard_fails_alone_and_is_named(made: Path, tmp_path: Path, damage: str) -> None:
    views = shutil.copytree(made / "views", tmp_path / "views")
    shard = views / "shard-00001.tar"
    whole = shard.read_bytes()
    last = whole.rindex(b"\x89PNG")
    shard.write_bytes(whole[: last + 20] if damage == "cut" else whole[:last] + bytes(40) + whole[last + 40 :])
    tools = make_tools(tmp_path, input_hashes={views.as_posix(): "DVC's, which stays the same"})
    said = (
        r"encode: 1 of 3 items failed, .*latents-00001\.safetensors: ValueError: .*shard-00001\.tar is (\w+).*dvc check"
    )
    with pytest.raises(RuntimeError, match=said) as failure:
        encode(made, tmp_path, tools, views)
    assert ("truncated" if damage == "cut" else "damaged") in str(failure.value)
    assert not (tmp_path / "latents" / MANIFEST).exists()
    shard.write_bytes(whole)
    encode(made, tmp_path, tools, views)
    assert notes_of(tools) == ["encode: 2 of 3 were finished before, 1 to go"]
    assert_equal_bytes(made / "latents", tmp_path / "latents")


def test_encode_latents_that_are_not_finite_fail_with_the_object(made: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(made / "vae", tmp_path / "vae")
    vae = load_mask_vae(broken)
    vae.quant_conv.weight.data.fill_(float("nan"))
    vae.save_pretrained(broken)
    with pytest.raises(RuntimeError, match=r"encode: 3 of 3 items failed, .*o. has latents that float16 cannot hold"):
        encode_views(made / "views", broken, ENCODE, 0, tmp_path / "latents", make_tools(tmp_path))


def test_encode_full_disk_is_a_sentence_and_the_next_run_goes_on(made: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as resize:
        sentences = []
        for size_kb in range(8, 400, 12):
            resize(size_kb)
            try:
                encode(made, tmp_path, make_tools(tmp_path / "disk"))
            except (RuntimeError, OSError) as error:
                sentences.append(str(error))
                assert not list((tmp_path / "disk").rglob("*.part"))
            else:
                break
        assert_equal_bytes(made / "latents", tmp_path / "latents")
        assert sentences
        assert all(os.strerror(errno.ENOSPC) in sentence and "disk" in sentence for sentence in sentences), sentences
