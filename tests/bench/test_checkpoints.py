"""The benchmark of checkpoints runs, and what it compares is what it says."""

import json
from pathlib import Path

import pytest

from tests.bench.checkpoints import main


@pytest.mark.slow(seconds=4)
def test_a_training_waits_less_for_a_thread_than_for_itself(tmp_path: Path) -> None:
    main(["--gb", "0.2", "--folder", str(tmp_path), "--out", str(tmp_path / "numbers.json")])
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert 0 < numbers["thread"]["waits"] < numbers["alone"]["waits"]
    assert numbers["thread"]["share"] < numbers["alone"]["share"] < 100
    assert numbers["restart"]["read"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.json"]
