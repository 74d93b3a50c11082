"""A pool on a cluster: two raylets on this machine, the second one joins and is drained while work is under way."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from infra.execution import ray_scheduler
from infra.execution.ray_pool import Limits, RayPool
from tasks.outcome import Done, Failed, Outcome
from tests.infra.execution.pool_jobs import Task, obey

pytestmark = pytest.mark.slow


MEETINGS = [f"meet-{number}-{side}" for number in range(4) for side in "ab"]
LATER = [f"do-{number}" for number in range(1, 9)]


def drain(address: str, node: str, seconds: int) -> None:
    """Give notice that a node will be taken away in some seconds."""
    words = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot", "--deadline-remaining-seconds"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "drain-node", "--address", address, "--node-id", node]
    done = subprocess.run([*command, *words, str(seconds)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ray_pool_node_that_joins_takes_work_and_one_that_is_drained_gets_no_more(cluster: Any, tmp_path: Path) -> None:
    limits = Limits(time_limit=600, recycle_after=100, memory_limit_gb=8)
    with RayPool[Outcome](
        failed=Failed, workers=2, limits=limits, log_dir=tmp_path / "logs", address=cluster.address
    ) as pool:
        nodes: list[str] = []
        for outcome in pool.run(obey, [Task(uid, tmp_path) for uid in ("do-0", *MEETINGS, *LATER)]):
            assert isinstance(outcome, Done)
            nodes.append(str(outcome.facts["node"]))
            if len(nodes) == 1:
                cluster.add_node(**cluster.node)
            if len(nodes) == 1 + len(MEETINGS):
                [joined] = set(nodes) - {nodes[0]}
                drain(cluster.address, joined, 600)
    assert len(nodes) == 1 + len(MEETINGS) + len(LATER)
    assert nodes.count(joined) >= 4
    assert nodes[1 + len(MEETINGS) :].count(joined) <= 1, "what was under way there"


@pytest.mark.nightly  # two more raylets; Ray takes half a minute to miss one
def test_item_that_dies_with_a_node_after_notice_has_not_been_tried(
    headless_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_scheduler, "MAX_ATTEMPTS", 1)
    nodes = {node.node_id: node for node in (headless_cluster.add_node(**headless_cluster.node) for _ in range(2))}
    limits = Limits(time_limit=600, recycle_after=100, memory_limit_gb=8)
    with RayPool[Outcome](
        failed=Failed, workers=1, limits=limits, log_dir=tmp_path / "logs", address=headless_cluster.address
    ) as pool:
        run = pool.run(obey, [Task("do-0", tmp_path), Task("meet-0-a", tmp_path)])
        first = next(run)
        assert isinstance(first, Done)
        lost = str(first.facts["node"])
        while not (tmp_path / f"at-0-{lost}").exists():
            time.sleep(0.1)
        drain(headless_cluster.address, lost, 1)
        time.sleep(2)  # until the time is over of which notice was given
        headless_cluster.remove_node(nodes[lost], allow_graceful=False)
        [second] = run
    assert isinstance(second, Done), second
    assert second.facts["node"] in nodes.keys() - {lost}
