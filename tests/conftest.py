"""For all tests: threads of OpenMP do not spin while they wait, as in a stage's process (flows/verbs/pipeline.py);
DVC sends nothing home; temporary files, also those of processes that a test kills, lie where pytest removes them; and
no process that a test started is left."""

import contextlib
import gc
import os
import secrets
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from infra.execution.processes import is_alive
from tasks.artifacts.cycle_search import without_cycle_search
from tests import untraced
from tests.infra.ray_cluster import ray_cluster

if TYPE_CHECKING:
    from tests.infra.s3 import S3Server

untraced.install()
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ["DVC_NO_ANALYTICS"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Toy tensors gain nothing from a second thread, and teams of threads that share cores wait for each other: the
    # golden losses took 63 s with two beside another training, 7 s with one (infra/LOG.md).
    os.environ.setdefault("OMP_NUM_THREADS", "1")


SECONDS = {"e2e": 60.0, "slow": 20.0}
"""Roughly what a test with such a mark takes; one without takes half a second, and `slow(seconds=90)` says its own."""
TRACED = 10.0
"""Tests of fewer seconds measure coverage."""


def _seconds(item: pytest.Item) -> float:
    """Return roughly how long a test takes, by its marks."""
    return max((mark.kwargs.get("seconds", SECONDS.get(mark.name, 0.5)) for mark in item.iter_markers()), default=0.5)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import all test files without searching for cycles what they import, then and later."""
    with without_cycle_search():
        collected = yield
    gc.freeze()
    return collected


@pytest.hookimpl(trylast=True)  # after pytest-randomly has shuffled
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let several processes begin with the longest files, so that none is left alone with one at the end."""
    if not hasattr(config, "workerinput"):
        return
    seconds: dict[Path, float] = defaultdict(float)
    for item in items:
        seconds[item.path] += _seconds(item)
    items.sort(key=lambda item: -seconds[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure coverage by tests of less than ten seconds: tracing adds two fifths to a test's time (infra/LOG.md)."""
    plugin = item.config.pluginmanager.get_plugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if controller is None or _seconds(item) < TRACED:
        return (yield)
    controller.pause()
    try:
        return (yield)
    finally:
        controller.resume()


@pytest.fixture
def bfloat16_attention() -> Iterator[None]:
    """Attention in bfloat16 by kernels that run with every ATEN_CPU_CAPABILITY.

    Torch's fused kernel asks the processor for AMX and then its capability for AVX-512, so it fails where the processor
    has the one and the variable denies the other: "pack_vnni2 is only supported when avx512 is supported".
    """
    if os.environ.get("ATEN_CPU_CAPABILITY") not in {"default", "avx2"}:
        yield
        return
    from torch.nn.attention import SDPBackend, sdpa_kernel  # here, since importing torch takes seconds

    with sdpa_kernel(SDPBackend.MATH):
        yield


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary files of the tests and of what they start."""
    folder = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "torchinductor"))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


OURS = "MVDPP_TESTS"
"""Environment variable that every process inherits which these tests start, directly or not."""
END_WITH_US = ("multiprocessing.forkserver", "multiprocessing.resource_tracker", "compile_worker")
"""Servers of Python's and torch's own, for later calls of this process."""
GRACE = 180.0
"""Seconds in which the last may end; two of Ray's try for a minute to report that their server has died."""


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Fail at the end when a process that a test started is still there, orphans included."""
    name = secrets.token_hex(16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OURS, name)
        yield
    until = time.monotonic() + GRACE
    while (left := _left_over(name)) and time.monotonic() < until:
        time.sleep(0.5)
    assert not left, f"processes are left: {left}"


def _left_over(name: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            is_ours = process.environ().get(OURS) == name and process.pid != os.getpid()
            if is_ours and is_alive(process) and not any(word in command for word in END_WITH_US):
                found.append(f"{process.pid} {command}")
    return found


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
def cluster() -> Iterator[Any]:
    """A head with one processor; `add_node` starts further raylets."""
    with ray_cluster(head_cpus=1) as started:
        yield started


@pytest.fixture
def headless_cluster() -> Iterator[Any]:
    """A head that does no work itself."""
    with ray_cluster(head_cpus=0) as started:
        yield started
