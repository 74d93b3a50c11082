"""The benchmark of downloads runs, and every way brings every object."""

import json
import re
from pathlib import Path

import pytest

from tests.bench.download import main
from tests.bench.download_methods import METHODS


@pytest.mark.slow(seconds=20)
def test_bench_download_compares_processor_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "numbers.json"
    main(["--objects", "40", "--rounds", "1", "--folder", str(tmp_path), "--out", str(out)])
    numbers = json.loads(out.read_text())
    assert numbers.keys() == METHODS.keys()
    table = capsys.readouterr().out
    for name, row in numbers.items():
        assert row["cpu"] > 0
        ratio = f"{row['cpu'] / numbers['ours']['cpu']:.2f}"
        assert re.search(rf"{name} .*│ +{ratio} │", table)
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.json"]
