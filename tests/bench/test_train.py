import json
import re
import time
from pathlib import Path

import pytest

from tests.bench.train import main

SMALL = [*("--width", "toy", "--side", "8", "--kept", "2"), *("--batch", "2", "--objects", "4", "--steps", "1")]


@pytest.mark.slow
def test_bench_train_prints_rates_of_reading_and_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """4 samples are read alone and 2 are trained on per step, in less time than the whole program took."""
    out, start = tmp_path / "rates.json", time.monotonic()
    main([*SMALL, "--out", str(out)])
    elapsed, numbers = time.monotonic() - start, json.loads(out.read_text())
    read, trained = numbers["reading"], numbers["train/samples_per_second"]
    assert read > 4 / elapsed
    assert trained > 2 / elapsed
    assert 0 < numbers["train/data_wait_share"] < 1
    table = capsys.readouterr().out
    for row, value in (("read, one thread", f"{read:.1f}"), ("read / trained", f"{read / trained:.1f}")):
        assert re.search(rf"{row} +│ +{re.escape(value)} ", table)
