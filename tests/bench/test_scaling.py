import json
from pathlib import Path

import pytest

from tests.bench.scaling import main


@pytest.mark.slow
@pytest.mark.blender
def test_bench_scaling_measures_one_worker_beside_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rates.json"
    main(["--objects", "2", "--side", "16", "--rounds", "1", "--out", str(out)])
    rates = json.loads(out.read_text())
    assert set(rates) == {"1", "2"}
    assert min(rates.values()) > 0
    assert "ratio" in capsys.readouterr().out
