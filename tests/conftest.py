"""For all tests: threads of OpenMP do not spin while they wait, as in a stage's process (flows/__main__.py); DVC sends
nothing home; and temporary files, also those of processes that a test kills, lie where pytest removes them."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.execution.ray_pool import OBJECT_STORE_BYTES

if TYPE_CHECKING:
    from tests.infra.s3 import S3Server

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ["DVC_NO_ANALYTICS"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Toy tensors gain nothing from a second thread, and teams of threads that share cores wait for each other: the
    # golden losses took 63 s with two beside another training, 7 s with one (infra/LOG.md).
    os.environ.setdefault("OMP_NUM_THREADS", "1")


SECONDS = {"e2e": 60.0, "slow": 20.0, "blender": 5.0}
"""Roughly what a test with such a mark takes; one without takes half a second, and `slow(seconds=90)` says its own."""


@pytest.hookimpl(trylast=True)  # after pytest-randomly has shuffled
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let several processes begin with the longest files, so that none is left alone with one at the end."""
    if not hasattr(config, "workerinput"):
        return
    seconds: dict[Path, float] = defaultdict(float)
    for item in items:
        marks = (mark.kwargs.get("seconds", SECONDS.get(mark.name, 0.5)) for mark in item.iter_markers())
        seconds[item.path] += max(marks, default=0.5)
    items.sort(key=lambda item: -seconds[item.path])


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary files of the tests and of what they start."""
    folder = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "torchinductor"))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any will do; none are looked for elsewhere."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def s3(s3_credentials: None) -> Iterator["S3Server"]:  # noqa: ARG001 - usefixtures has no effect on fixtures
    """An empty S3 server."""
    from tests.infra.s3 import S3Server  # moto costs every session 0.5 s

    with S3Server() as server:
        yield server


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head with one processor; `add_node` starts further raylets."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster  # Ray costs every session a second

    (Path(tempfile.gettempdir()) / "ray").mkdir(exist_ok=True)  # where Ray notes the cluster it started last
    node = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:  # short: a socket
        head = {**node, "temp_dir": folder, "include_dashboard": False}
        cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        cluster.node = node
        try:
            yield cluster
        finally:
            cluster.shutdown()
