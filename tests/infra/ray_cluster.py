"""A Ray cluster on 127.0.0.1 that ends with its context; its head may do no work itself."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.execution.ray_pool import OBJECT_STORE_BYTES

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # as a private Ray of ours; Ray's own is starved by other work
}


@contextmanager
def ray_cluster(head_cpus: int) -> Iterator[Any]:
    """Start a head; give the cluster, whose `add_node` starts further raylets and whose `node` says how."""
    from ray.cluster_utils import Cluster  # Ray costs every session of tests a second

    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    (Path(tempfile.gettempdir()) / "ray").mkdir(exist_ok=True)  # where Ray notes the cluster it started last
    node = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
    with tempfile.TemporaryDirectory(  # a short path: a socket's
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        head = {**node, "num_cpus": head_cpus, "temp_dir": folder, "include_dashboard": False}
        cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        cluster.node = node
        try:
            yield cluster
        finally:
            cluster.shutdown()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
