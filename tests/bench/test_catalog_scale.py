"""The benchmark of catalog and select at its smallest."""

import json
from pathlib import Path

import pytest

from tests.bench.catalog_scale import STAGES, main


@pytest.mark.slow
def test_bench_catalog_scale_measures_each_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--objects", "400", "--out", str(tmp_path / "out.json")])
    found = json.loads((tmp_path / "out.json").read_text())
    assert list(found) == list(STAGES)
    assert found["catalog"]["rows"] == 400
    assert 0 < found["select, all filters"]["rows"] < found["select"]["rows"] < 100
    assert all(row["cpu"] > 0 and 10 < row["peak_mb"] < 1000 for row in found.values())
    assert "400 objects" in capsys.readouterr().out
