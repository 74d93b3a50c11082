import json
import re
import time
from pathlib import Path

import pytest

from tests.bench.scaling import main


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.blender
def test_bench_scaling_measures_one_worker_beside_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three outcomes of which two are timed, in less time than the whole program took."""
    out, start = tmp_path / "rates.json", time.monotonic()
    main(["--objects", "2", "--side", "16", "--rounds", "1", "--out", str(out)])
    rates = json.loads(out.read_text())
    assert set(rates) == {"1", "2"}
    assert min(rates.values()) > 60 * 2 / (time.monotonic() - start)
    table = capsys.readouterr().out
    for workers, rate in rates.items():
        assert re.search(rf"{workers} +│ +{rate:.1f} │ +{rate / rates['1']:.2f} ", table)
