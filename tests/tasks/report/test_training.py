"""Histories of trainings as curves."""

from pathlib import Path

import numpy as np

from tasks.report.training import read_curves


def test_read_curves_leaves_out_blanks_and_curves_without_values(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("samples_seen,loss,lr,val_loss\n80,0.5,0.1,\n160,,0.1,\n240,0.25,0.1,\n")
    curves = read_curves(tmp_path / "history.csv")
    assert curves.keys() == {"training loss"}
    np.testing.assert_array_equal(curves["training loss"], [[80, 0.5], [240, 0.25]])


def test_read_curves_without_history_are_none(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "history.csv") == {}
