"""The benchmark of scale does what it says, at a toy size."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.scale import exponent, faults, main


@pytest.mark.slow
def test_bench_scale_makes_each_item_once_and_only_what_was_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--objects", "200", "--added", "10", "--folder", str(tmp_path), "--out", str(tmp_path / "numbers.json")]
    main([*words, "--together"])
    rows = {(row["step"], row["run"]): row for row in json.loads((tmp_path / "numbers.json").read_text())}
    for step in ("normalize", "render"):
        assert [rows[step, run]["made"] for run in ("first", "again", "added")] == [200, 0, 10]
    first, again, added = (rows["render", run] for run in ("first", "again", "added"))
    assert (first["shards"], first["shards_written"]) == (4, 4), "64 objects in each"
    assert (again["shards"], again["shards_written"]) == (4, 0)
    assert (added["shards"], added["shards_written"]) == (4, 1), "the last shard has room"
    assert all(row["cpu"] > 0 and row["mib"] > 50 for row in rows.values())
    assert 0 < rows["read", "first"]["images"] <= 200 * 42
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.json"]
    shown = capsys.readouterr().out
    assert "1 of 4" in shown
    assert "FAULT" not in shown


def row(step: str, count: int, cpu: float, run: str = "first", **others: float) -> dict[str, Any]:
    return {"step": step, "run": run, "count": count, "cpu": cpu, "mib": 100.0, "own_mib": 1.0} | others


def test_growth_is_the_power_of_the_number_of_objects() -> None:
    assert exponent(row("render", 10, 1.0), row("render", 100, 10.0)) == pytest.approx(1.0)
    assert exponent(row("render", 10, 1.0), row("render", 100, 100.0)) == pytest.approx(2.0)


def test_faults_say_which_limit_is_broken() -> None:
    linear = [row("render", 10_000, 5.0), row("render", 180_000, 90.0)]
    assert faults(linear) == []
    [grown] = faults([linear[0], row("render", 180_000, 900.0)])
    assert "grows with objects to the power of 1.80 from 10000 to 180000" in grown
    [large] = faults([row("render", 180_000, 90.0, mib=2100.0)])
    assert "render (first) of 180000 objects takes 2100 MiB, more than 2000" in large
    [index] = faults([row("read", 180_000, 1.0, own_mib=2500.0)])
    assert "takes 2500 MiB for its index, more than 200" in index
    [busy] = faults([row("render", 180_000, 61.0, "again")])
    assert "takes 61 CPU seconds though nothing is to be done, more than 60" in busy
