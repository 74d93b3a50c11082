from pathlib import Path

import pytest

from infra.execution.processes import runs
from tests.bench.hardship import busy_loops, main


def test_hardship_runs_each_capability_and_says_which_failed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "test_kernels.py").write_text(
        "import os\n\n\ndef test_kernels() -> None:\n    assert 'ATEN_CPU_CAPABILITY' not in os.environ\n"
    )
    words = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null", str(tmp_path)]
    assert main(["--busy-loops", "1", "--capabilities", "native", "default", "--", *words]) == 1
    printed = capfd.readouterr().out
    assert "native, run 1 of 1: passed" in printed
    assert "default, run 1 of 1: failed with code 1" in printed


def test_busy_loops_run_inside_their_block_only() -> None:
    with busy_loops(2) as loops:
        numbers = [loop.pid for loop in loops]
        assert all(runs(number) for number in numbers)
    assert not any(runs(number) for number in numbers)
