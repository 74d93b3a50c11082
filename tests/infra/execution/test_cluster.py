"""A pool on a cluster: two raylets on this machine, the second one joins while work is under way."""

from pathlib import Path
from typing import Any

import pytest

from infra.execution.ray_pool import Limits, RayPool
from tasks.outcome import Done, Failed, Outcome
from tests.infra.execution.pool_jobs import Task, obey

pytestmark = pytest.mark.slow


def test_ray_pool_node_that_joins_takes_work(cluster: Any, tmp_path: Path) -> None:
    limits = Limits(time_limit=600, recycle_after=100, memory_limit_gb=8)
    with RayPool[Outcome](
        failed=Failed, workers=2, limits=limits, log_dir=tmp_path / "logs", address=cluster.address
    ) as pool:
        nodes: list[str] = []
        meetings = [f"meet-{number}-{side}" for number in range(4) for side in "ab"]
        for outcome in pool.run(obey, [Task(uid, tmp_path) for uid in ("do-0", *meetings)]):
            assert isinstance(outcome, Done)
            nodes.append(str(outcome.facts["node"]))
            if len(nodes) == 1:
                cluster.add_node(**cluster.node)
    assert len(nodes) == 9
    first, second = sorted(set(nodes), key=nodes.index)
    assert nodes.count(second) >= 4
    assert first != second
