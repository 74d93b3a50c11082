import json
import time
from pathlib import Path

import pytest

from tests.bench.paper_times import ROWS, main

SMALL = ["--device", "cpu", "--width", "toy", "--side", "8", "--targets", "2", "--objects", "1", "--max-steps", "2"]


@pytest.mark.nightly
@pytest.mark.slow
def test_bench_times_measures_what_fits_into_its_time_and_says_what_did_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recomputing = "training sample, norms rounded, feed-forward recomputed"
    chosen = ("32 views, 75 DDPM steps", "training sample of 1 + 8 views", recomputing)
    monkeypatch.setattr("tests.bench.paper_times.ROWS", {name: ROWS[name] for name in chosen})
    out, start = tmp_path / "times.json", time.monotonic()
    main([*SMALL, "--out", str(out)])
    sampled, trained, recomputed = json.loads(out.read_text())
    elapsed = time.monotonic() - start
    for row in (sampled, trained, recomputed):
        assert row["seconds"] < elapsed
        assert row["tflop_s"] / row["share"] > 1e-4, "what its matrix products reach: more than 0.1 GFLOP/s"
        assert row["peak_gib"] > 0.1, "torch alone needs as much"
    tflop = trained["seconds"] * trained["tflop_s"]
    assert tflop == pytest.approx(recomputed["seconds"] * recomputed["tflop_s"]), "what is computed twice counts once"
    assert "processor" in capsys.readouterr().out
    main([*SMALL, "--limit-s", "0", "--out", str(out)])
    assert [row["problem"] for row in json.loads(out.read_text())] == ["the 0 s are over; --limit-s gives more"] * 3
