"""A Ray cluster on 127.0.0.1 that ends with its context; its head may do no work itself."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.execution.processes import kill_marked
from infra.execution.ray_pool import OBJECT_STORE_BYTES

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # as a private Ray of ours; Ray's own is starved by other work
}

MARK = "MVDPP_RAY_CLUSTER"


def add_node(start: Callable[..., Any], **options: Any) -> Any:
    """Start a node of a cluster, once more where it runs out of time; nothing is left of the first one."""
    from infra.execution.ray_connection import TIMED_OUT  # Ray costs every session of tests a second

    before = psutil.Process().children()
    try:
        return start(**options)
    except Exception as error:
        if TIMED_OUT not in str(error).lower():
            raise
        for process in psutil.Process().children():
            if process not in before:
                process.kill()
    return start(**options)


@contextmanager
def ray_cluster(head_cpus: int) -> Iterator[Any]:
    """Start a head; give the cluster, whose `add_node` starts further raylets and whose `node` says how."""
    from ray.cluster_utils import Cluster  # Ray costs every session of tests a second

    (Path(tempfile.gettempdir()) / "ray").mkdir(exist_ok=True)  # where Ray notes the cluster it started last
    node = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(  # a short path: a socket's
            prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
        ) as folder,
    ):
        for name, value in (*SETTINGS.items(), (MARK, folder)):
            patch.setenv(name, value)
        head = {**node, "num_cpus": head_cpus, "temp_dir": folder, "include_dashboard": False}
        cluster: Any = Cluster()
        cluster.add_node = partial(add_node, cluster.add_node)
        cluster.node = node
        try:
            cluster.add_node(**head)
            yield cluster
        finally:
            cluster.shutdown()
            kill_marked(MARK, folder)  # nodes that have not come up, of which the cluster does not know
