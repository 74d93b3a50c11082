"""Stage select: what is kept, why the rest is not, and who is held out."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts.manifest import Kind, open_manifest, read_ledger, seal
from tasks.artifacts.tables import Entry, read_selected, write_entries
from tasks.config import SelectConfig
from tasks.outcome import Rejected
from tasks.ports import Tools
from tasks.select import select_objects, split_objects
from tests.tasks.hub import catalog_config
from tests.tasks.toolbox import make_tools, notes_of


def select_config(**changes: Any) -> SelectConfig:
    fields = {"min_score": 5.0, "missing_score": "keep", "max_objects": None, "val_share": 0.25}
    return SelectConfig.model_validate(fields | changes)


def run_select(
    folder: Path,
    scores: dict[str, float | None],
    seed: int = 0,
    source: str = "folder",
    tools: Tools | None = None,
    **changes: Any,
) -> dict[str, str]:
    """The split of each kept object."""
    catalog = folder / "catalog"
    write_entries(catalog / "objects.csv", [Entry(uid, uid, score, "", "", source) for uid, score in scores.items()])
    seal(catalog, Kind.CATALOG, config=catalog_config(), inputs={})
    select_objects(catalog, select_config(**changes), seed, folder / "selected", tools or make_tools(folder))
    return {entry.uid: entry.split for entry in read_selected(folder / "selected" / "objects.csv")}


def reasons(folder: Path) -> dict[str, str]:
    return {row.uid: row.reason for row in read_ledger(folder / "selected") if isinstance(row, Rejected)}


def test_select_low_scores_are_rejected_with_the_reason(tmp_path: Path) -> None:
    kept = run_select(tmp_path, {"a": 4.21, "b": 5.0, "c": 9.0, "d": None})
    assert set(kept) == {"b", "c", "d"}
    assert reasons(tmp_path) == {"a": "score 4.21 < 5.0"}
    assert open_manifest(tmp_path / "selected", Kind.SELECTED).counts == {"done": 3, "rejected": 1, "failed": 0}


def test_select_missing_score_can_be_rejected(tmp_path: Path) -> None:
    assert set(run_select(tmp_path, {"a": 6.0, "b": None}, missing_score="reject")) == {"a"}
    assert reasons(tmp_path) == {"b": "no score"}


def test_select_max_objects_grows_by_addition_whatever_the_catalog(tmp_path: Path) -> None:
    scores: dict[str, float | None] = {f"object{index}": 6.0 for index in range(40)}
    five = run_select(tmp_path / "five", scores, max_objects=5)
    ten = run_select(tmp_path / "ten", scores, max_objects=10)
    assert len(five) == 5
    assert set(five) < set(ten)
    assert set(run_select(tmp_path / "other", scores, seed=1, max_objects=10)) != set(ten)
    assert reasons(tmp_path / "five")[next(iter(set(scores) - set(five)))].startswith("not among the first 5")
    fewer = {uid: score for uid, score in scores.items() if uid in ten or int(uid[6:]) % 2}
    assert run_select(tmp_path / "fewer", fewer, max_objects=10).keys() == ten.keys()


def test_select_limit_of_the_demo_binds_procedural_objects_alone(tmp_path: Path) -> None:
    scores: dict[str, float | None] = {f"object{index}": 6.0 for index in range(26)}
    assert len(run_select(tmp_path / "mine", scores, max_procedural=7)) == 26
    few = run_select(tmp_path / "procedural", scores, max_procedural=7, source="procedural")
    assert few == run_select(tmp_path / "any", scores, max_objects=7, val_share=0.25)
    reason = "not among the first 7 by uid hash (select.max_procedural)"
    assert set(reasons(tmp_path / "procedural").values()) == {reason}


def test_select_says_how_its_limit_is_lifted(tmp_path: Path) -> None:
    tools = make_tools(tmp_path)
    run_select(tmp_path, {"a": 6.0, "b": 7.0, "c": 1.0}, max_objects=1, tools=tools)
    said = notes_of(tools)[-1]
    assert "select.max_objects 1 drops 1 objects that are good enough" in said
    assert said.endswith("python -m flows run --set select.max_objects=null")


def test_select_that_keeps_nothing_raises_with_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"keeps none of 1 objects: score 1\.0 < 5\.0; lower select\.min_score"):
        run_select(tmp_path, {"a": 1.0})


def test_select_of_equal_input_writes_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run_select(tmp_path / name, {"a": 4.0, "b": 6.0, "c": 7.0})
    for file in ("objects.csv", "ledger.jsonl", "manifest.json"):
        assert (tmp_path / "one/selected" / file).read_bytes() == (tmp_path / "two/selected" / file).read_bytes()


def test_select_of_another_catalog_of_the_same_recipe_keeps_what_that_one_has(tmp_path: Path) -> None:
    assert set(run_select(tmp_path, {"a": 6.0, "b": 7.0})) == {"a", "b"}
    assert set(run_select(tmp_path, {"a": 4.0, "c": 8.0, "d": 9.0})) == {"c", "d"}


@given(st.sets(st.text("abcdef0123456789", min_size=1, max_size=6), min_size=2, max_size=30), st.floats(0.001, 0.999))
def test_split_always_has_both_sides(uids: set[str], share: float) -> None:
    assert set(split_objects(sorted(uids), share).values()) == {"train", "val"}


def test_split_holds_out_about_the_share_and_none_at_zero() -> None:
    uids = [f"object{index}" for index in range(2000)]
    num_val = sum(split == "val" for split in split_objects(uids, 0.15).values())
    assert 240 < num_val < 360
    assert set(split_objects(uids, 0.0).values()) == {"train"}
    assert split_objects(["only"], 0.9) == {"only": "train"}


def test_split_of_more_objects_moves_nobody() -> None:
    uids = [f"object{index}" for index in range(200)]
    few, all_of_them = split_objects(uids[:100], 0.15), split_objects(uids, 0.15)
    assert few == {uid: all_of_them[uid] for uid in few}
