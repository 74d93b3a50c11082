"""A selection that is exported and selected again."""

from pathlib import Path

import pytest

from flows.__main__ import main
from tasks.artifacts.tables import OBJECTS, read_selected
from tests.tasks.test_select import catalog_of, select_from

ROWS = [{"uid": f"object{index}", "score": index / 10} for index in range(100)]


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_exported_selection_selects_the_same_objects_and_splits(tmp_path: Path, name: str) -> None:
    catalog, out = catalog_of(tmp_path, ROWS), tmp_path / name
    select_from(tmp_path, catalog, max_objects=20)
    before = read_selected(tmp_path / "selected" / OBJECTS)
    assert {entry.split for entry in before} == {"train", "val"}
    assert main(["export-selection", str(out), "--selected", str(tmp_path / "selected")]) == 0
    select_from(tmp_path, catalog, list=str(out), min_score=9, val_share=0)
    assert read_selected(tmp_path / "selected" / OBJECTS) == before


def test_export_of_a_selection_refuses_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    select_from(tmp_path, catalog_of(tmp_path, ROWS))
    assert main(["export-selection", str(tmp_path / "list.xls"), "--selected", str(tmp_path / "selected")]) == 2
    assert "list.xls is neither .csv nor .parquet" in capsys.readouterr().err
    (tmp_path / "list.csv").touch()
    assert main(["export-selection", str(tmp_path / "list.csv"), "--selected", str(tmp_path / "selected")]) == 2
    assert "list.csv exists" in capsys.readouterr().err
