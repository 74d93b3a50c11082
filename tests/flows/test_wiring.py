"""What a profile says reaches the tools of a stage."""

from pathlib import Path

import pytest

from flows.wiring import Workload, open_tools
from infra.execution.ray_pool import RayPool
from infra.profile import load_profile
from tests.tasks.toolbox import MemoryTracker


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_tools_have_the_precision_of_the_profile(tmp_path: Path, precision: str) -> None:
    profile = load_profile("ci").model_copy(update={"inference_precision": precision})
    with open_tools("sample", profile, MemoryTracker(), tmp_path) as tools:
        assert tools.precision == precision


@pytest.mark.parametrize(("asked", "is_compiled"), [("auto", False), (False, False), (True, True)])
def test_tools_compute_as_the_profile_says(tmp_path: Path, asked: object, is_compiled: bool) -> None:
    profile = load_profile("ci").model_copy(update={"compile": asked, "attention_kernel": "math"})
    with open_tools("train-stage1", profile, MemoryTracker(), tmp_path) as tools:
        assert tools.compute.compile is is_compiled
        assert tools.compute.attention_kernel == "math"


@pytest.mark.parametrize(
    ("changes", "worker_device"),
    [
        ({"pool": "ray", "worker_gpus": 0.25}, "cuda"),
        ({"pool": "ray", "worker_gpus": 0.0}, "cpu"),
        ({"pool": "serial", "worker_gpus": 0.0}, "cuda"),
    ],
)
def test_tools_workers_compute_on_a_card_only_where_they_have_one(
    tmp_path: Path, changes: dict[str, object], worker_device: str
) -> None:
    given = {"device": "cuda", "workers": 2, "threads": 8, "render_device": "optix"} | changes
    profile = load_profile("ci").model_copy(update=given)
    with open_tools("render", profile, MemoryTracker(), tmp_path) as tools:
        assert (tools.device, tools.worker_device) == ("cuda", worker_device)
        machine = tools.worker_machine
        assert machine.device == "optix"
        assert machine.threads == 8 // tools.pool.num_workers
        if isinstance(tools.pool, RayPool):
            assert tools.pool.limits.worker_gpus == changes["worker_gpus"]


@pytest.mark.parametrize("ray_address", [None, "auto"])
def test_tools_of_a_stage_of_networks_have_a_worker_for_each_card_and_a_card_for_each_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_address: str | None
) -> None:
    monkeypatch.setattr("flows.wiring.num_cuda_gpus", lambda: 8)
    given = {"device": "cuda", "workers": 256, "trainers": 128, "worker_gpus": 0, "ray_address": ray_address}
    profile = load_profile("ci").model_copy(update=given)
    with open_tools("encode", profile, MemoryTracker(), tmp_path) as tools:
        assert (tools.worker_device, tools.pool.num_workers) == ("cuda", 128 if ray_address else 8)
        assert isinstance(tools.pool, RayPool)
        assert tools.pool.limits.worker_gpus == 1
        assert tools.pool.limits.time_limit == 64 * profile.time_limit
        assert tools.pool.limits.memory_limit_gb > 1e9


def test_tools_of_a_stage_of_networks_without_a_card_have_the_workers_of_the_profile(tmp_path: Path) -> None:
    profile = load_profile("ci")
    with open_tools("encode", profile, MemoryTracker(), tmp_path) as tools:
        assert (tools.worker_device, tools.pool.num_workers) == ("cpu", profile.workers)
        assert isinstance(tools.pool, RayPool)
        assert (tools.pool.limits.worker_gpus, tools.pool.limits.memory_limit_gb) == (0, profile.memory_limit_gb)


@pytest.mark.slow(seconds=5)
def test_tools_with_a_store_bring_files_of_jobs_and_of_trainings_through_it(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    given = {"ray_address": "auto", "store_url": url, "node_folder_gb": 2.5, "trainers": 2, "device": "cpu"}
    profile = load_profile("ci").model_copy(update=given)
    with open_tools("train-stage1", profile, MemoryTracker(), tmp_path) as tools:
        assert isinstance(tools.pool, RayPool)
        assert tools.pool.transport is not None
        assert tools.latent_cache is tools.pool.transport
        place = tools.pool.transport.place
        assert (place.store.url, place.folder, place.limit_bytes) == (url, profile.node_folder, 2_500_000_000)
        assert tools.launcher is not None
        assert tools.launcher.count == 2


def test_tools_of_a_command_have_the_workers_that_its_work_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.wiring.num_cuda_gpus", lambda: 8)
    profile = load_profile("ci").model_copy(update={"device": "cuda", "trainers": 8})
    work = Workload(whole_cards=True, objects_per_job=3)
    with open_tools("some-command", profile, MemoryTracker(), tmp_path, workload=work) as tools:
        assert (tools.worker_device, tools.pool.num_workers) == ("cuda", 8)
        assert isinstance(tools.pool, RayPool)
        assert tools.pool.limits.time_limit == 3 * profile.time_limit
        assert tools.work.is_relative_to(tmp_path)
        assert tools.work.name == "some-command"
