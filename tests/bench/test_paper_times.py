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


@pytest.mark.nightly
@pytest.mark.slow
def test_bench_times_measures_kernels_encoding_and_checkpoints_and_says_why_a_kernel_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, start = tmp_path / "times.json", time.monotonic()
    main([*SMALL, "--rows", "by flash", "by fa3", "encode", "checkpoint", "--out", str(out)])
    elapsed = time.monotonic() - start
    flash, fa3, encoded, saved = json.loads(out.read_text())
    assert flash["gradient_error"] < 1e-4
    tflop = 12 * 5 * 64 * (9 * 8**2) ** 2 / 1e12
    assert flash["seconds"] * flash["tflop_s"] == pytest.approx(tflop)
    assert flash["tflop_s"] / flash["share"] > 1e-4
    said = "attention_kernel is fa3, which needs a CUDA card, and the device is cpu; write attention_kernel: auto"
    assert fa3["problem"] == f"ValueError: {said}"
    for seconds in (encoded["seconds"], saved["seconds"], saved["restart"]):
        assert 0 < seconds < elapsed
    assert "share" not in encoded | saved, "no operations are counted"
    assert "attention_kernel is fa3" in capsys.readouterr().out
