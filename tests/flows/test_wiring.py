"""What a profile says reaches the tools of a stage."""

from pathlib import Path

import pytest

from flows.wiring import open_tools
from infra.execution.ray_pool import RayPool
from infra.profile import load_profile
from tests.tasks.toolbox import MemoryTracker


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_tools_have_the_precision_of_the_profile(tmp_path: Path, precision: str) -> None:
    profile = load_profile("ci").model_copy(update={"inference_precision": precision})
    with open_tools("sample", profile, MemoryTracker(), tmp_path) as tools:
        assert tools.precision == precision


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
