"""The benchmark of scoring at its smallest."""

import json
from pathlib import Path

import pytest

from tests.bench.evaluate import main


@pytest.mark.slow
def test_bench_evaluate_adds_its_parts_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--side", "24", "--voxels", "16", "--out", str(tmp_path / "out.json")])
    found = json.loads((tmp_path / "out.json").read_text())
    once = sum(value for part, value in found["seconds"].items() if part.startswith("truth"))
    each = sum(found["seconds"].values()) - once
    assert found["minutes"] == pytest.approx(30 * (once + 15 * each) / 2 / 60)
    shown = capsys.readouterr().out
    assert f"30 objects in 15 cases on 2 cores: {found['minutes']:.1f} min" in shown
    assert "mesh: distances" in shown
