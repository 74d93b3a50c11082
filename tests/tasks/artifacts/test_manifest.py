import json
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import BaseModel

from tasks.artifacts.ledger_table import LedgerTable
from tasks.artifacts.manifest import Kind, check_failed_share, fingerprint, open_manifest, read_ledger, seal
from tasks.outcome import Done, Failed, Outcome, Rejected


class Config(BaseModel):
    size: int = 1


OUTCOMES: list[Outcome] = [Failed("c", "boom", "last line"), Done("a", {"faces": 3}), Rejected("b", "score 4.2 < 5.0")]


def test_seal_writes_a_ledger_that_reads_back_sorted(tmp_path: Path) -> None:
    seal(tmp_path, Kind.OBJECTS, config=Config(), inputs={"before": "x"}, outcomes=OUTCOMES)
    assert read_ledger(tmp_path) == sorted(OUTCOMES, key=lambda outcome: outcome.uid)
    assert open_manifest(tmp_path, Kind.OBJECTS).counts == {"done": 1, "rejected": 1, "failed": 1}


def test_seal_twice_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        seal(tmp_path / name, Kind.OBJECTS, config=Config(), inputs={}, outcomes=OUTCOMES)
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


def test_open_manifest_unsealed_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did not finish; run `dvc repro`"):
        open_manifest(tmp_path, Kind.OBJECTS)


def test_open_manifest_of_another_kind_is_refused(tmp_path: Path) -> None:
    seal(tmp_path, Kind.OBJECTS, config=Config(), inputs={})
    with pytest.raises(ValueError, match="holds 'objects', expected 'views'"):
        open_manifest(tmp_path, Kind.VIEWS)


def test_fingerprint_changes_with_config_and_inputs_only() -> None:
    assert fingerprint(Config(size=1), {"a": "x"}) == fingerprint(Config(size=1), {"a": "x"})
    assert fingerprint(Config(size=2), {"a": "x"}) != fingerprint(Config(size=1), {"a": "x"})
    assert fingerprint(Config(size=1), {"a": "y"}) != fingerprint(Config(size=1), {"a": "x"})


def test_fingerprint_of_something_without_one_json_form_is_refused() -> None:
    with pytest.raises(TypeError):
        fingerprint({"when": object()})


@pytest.mark.parametrize(("limit", "raises"), [(0.34, False), (0.33, True), (0.0, True)])
def test_check_failed_share_counts_failures_only(limit: float, raises: bool) -> None:
    if raises:
        with pytest.raises(RuntimeError, match=r"1 of 3 items failed.*First: c: boom"):
            check_failed_share("render", OUTCOMES, limit)
    else:
        check_failed_share("render", OUTCOMES, limit)


def test_manifest_holds_no_time_and_no_absolute_path(tmp_path: Path) -> None:
    seal(tmp_path, Kind.OBJECTS, config=Config(), inputs={}, outcomes=OUTCOMES)
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert set(content) == {"kind", "fingerprint", "config", "inputs", "counts", "facts"}
    assert str(tmp_path) not in (tmp_path / "manifest.json").read_text()


def test_ledger_as_a_table_is_read_like_the_other(tmp_path: Path) -> None:
    rows = LedgerTable.of_rows(pa.chunked_array([["c"], ["a"]]), [Rejected("b", "score 4 < 5")])
    seal(tmp_path, Kind.SELECTED, config=Config(size=1), inputs={}, outcomes=OUTCOMES)
    manifest = seal(tmp_path, Kind.SELECTED, config=Config(size=1), inputs={}, outcomes=rows)
    assert manifest.counts == {"done": 2, "rejected": 1, "failed": 0}
    assert read_ledger(tmp_path) == [Done("a"), Rejected("b", "score 4 < 5"), Done("c")]
    seal(tmp_path, Kind.SELECTED, config=Config(size=1), inputs={}, outcomes=OUTCOMES)
    assert read_ledger(tmp_path) == sorted(OUTCOMES, key=lambda outcome: outcome.uid)
