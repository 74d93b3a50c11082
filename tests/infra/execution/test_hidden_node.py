"""A pool on a cluster whose node does not see the driver's folder: two raylets, one with a file system over it."""

from pathlib import Path
from typing import Any

import pytest

from infra.execution import ray_connection
from infra.execution.parcels import NodePlace
from infra.execution.ray_pool import Limits, RayPool
from infra.execution.transport import Transport
from infra.storage.blob_store import BlobStore
from tasks.outcome import Done, Failed, Outcome
from tests.infra.execution.pool_jobs import Task, obey
from tests.infra.hidden_node import hidden_node


@pytest.mark.slow(seconds=40)
def test_ray_pool_node_without_the_folder_works_and_tells_what_went_wrong(
    headless_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "out").mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.setattr(ray_connection, "PACKAGES", (*ray_connection.PACKAGES, "tests"))
    transport = Transport[Outcome](
        NodePlace(BlobStore(str(tmp_path / "store"), None, attempts=1), str(tmp_path / "node"), 10**9), failed=Failed
    )
    limits = Limits(time_limit=600, recycle_after=100, memory_limit_gb=8)
    jobs = [Task(uid, project / "out") for uid in ("crash-1", "raise-1", "do-1", "do-2", "do-3")]
    with (
        hidden_node(headless_cluster.address, project, num_cpus=2) as as_seen_there,
        RayPool[Outcome](
            failed=Failed,
            workers=2,
            limits=limits,
            log_dir=project / "logs",
            address=headless_cluster.address,
            transport=transport,
        ) as pool,
    ):
        outcomes = {outcome.uid: outcome for outcome in pool.run(obey, jobs)}
        assert not list(as_seen_there.iterdir())
    assert all(isinstance(outcomes[f"do-{number}"], Done) for number in (1, 2, 3))
    assert sorted(path.name for path in (project / "out").iterdir()) == ["do-1", "do-2", "do-3"]
    raised, crashed = outcomes["raise-1"], outcomes["crash-1"]
    assert isinstance(raised, Failed)
    assert isinstance(crashed, Failed)
    assert raised.error.startswith("ValueError: the teapot has no lid (execution/pool_jobs.py:")
    assert "about to raise" in raised.log
    assert 'File "tests/infra/execution/pool_jobs.py"' in raised.log
    assert "about to crash" in crashed.log
    assert crashed.attempts == 2
