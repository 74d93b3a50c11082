import json
from pathlib import Path

import pytest

from tests.bench.train import main


@pytest.mark.slow
def test_bench_train_prints_rates_of_reading_and_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rates.json"
    main(
        [
            "--width",
            "toy",
            "--side",
            "8",
            "--kept",
            "2",
            "--batch",
            "2",
            "--objects",
            "4",
            "--steps",
            "1",
            "--out",
            str(out),
        ]
    )
    numbers = json.loads(out.read_text())
    assert numbers["reading"] > numbers["train/samples_per_second"] > 0
    assert 0 < numbers["train/data_wait_share"] < 1
    assert "waiting for data" in capsys.readouterr().out
