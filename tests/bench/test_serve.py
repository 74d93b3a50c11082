"""The benchmark of the service, against one in this process."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.network.noise import build_scheduler
from tasks.commands.sampler import Compute
from tasks.commands.service.model import ServedModel
from tests.bench.serve import offer, table
from tests.models.toy_models import NOISE, toy_pipeline
from tests.tasks.commands.bad_photos import ball
from tests.tasks.commands.service.local_workers import LocalWorkers
from tests.tasks.commands.service.running import OPTIONS, running


@pytest.mark.slow(seconds=3)
def test_serve_benchmark_counts_what_is_done_and_what_is_refused(tmp_path: Path) -> None:
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(tmp_path / "toy")
    model = ServedModel("toy", tmp_path / "toy", Compute("cpu", "fp32")).load()
    options = replace(OPTIONS, unfinished=2, batch=2)
    with running(LocalWorkers(model, finishing=lambda *_: None), tmp_path / "results", options) as service:
        row = offer(service.address, ball(tmp_path / "a.png"), load=200, seconds=0.05, steps=3, batch=2)
    assert (row.sent, row.failed) == (10, 0)
    assert row.done + row.refused == 10
    assert row.done >= 2
    assert row.refused >= 1
    assert row.median <= row.p95
    assert table([row]).row_count == 1
