"""Stage select: what is kept, why the rest is not, and who is held out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import spearmanr

from flows.params import load_params
from tasks.artifacts.catalog_columns import CATALOG
from tasks.artifacts.manifest import Kind, open_manifest, read_ledger, seal
from tasks.artifacts.parquet import write_parquet
from tasks.artifacts.tables import CLAIMS, OBJECTS, Entry, read_selected, write_entries, write_table
from tasks.config import SelectConfig
from tasks.outcome import Rejected
from tasks.ports import Tools
from tasks.select import select_objects, split_objects
from tasks.sources.scoring import CLAIM
from tests.tasks.hub import catalog_config, glb
from tests.tasks.made_run import PARAMS
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
    write_entries(
        catalog / "objects.parquet", [Entry(uid, uid, score, "", "", source) for uid, score in scores.items()]
    )
    seal(catalog, Kind.CATALOG, config=catalog_config(), inputs={})
    select_objects(catalog, select_config(**changes), seed, folder / "selected", tools or make_tools(folder))
    return {entry.uid: entry.split for entry in read_selected(folder / "selected" / "objects.parquet")}


def reasons(folder: Path) -> dict[str, str]:
    return {row.uid: row.reason for row in read_ledger(folder / "selected") if isinstance(row, Rejected)}


def test_select_low_scores_are_rejected_with_the_reason(tmp_path: Path) -> None:
    kept = run_select(tmp_path, {"a": 4.21, "b": 5.0, "c": 9.0, "d": None})
    assert set(kept) == {"b", "c", "d"}
    assert reasons(tmp_path) == {"a": "score 4.21 < 5"}
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
    with pytest.raises(
        ValueError, match=r"keeps none of 1 objects \(score 1 < 5\): widen its rules, of which min_score drops 1"
    ):
        run_select(tmp_path, {"a": 1.0})


def test_select_of_equal_input_writes_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run_select(tmp_path / name, {"a": 4.0, "b": 6.0, "c": 7.0})
    for file in ("objects.parquet", "ledger.parquet", "manifest.json"):
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


def catalog_of(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A sealed catalog of objects, of each what is not null or empty."""
    empty = {"location": "", "title": "", "license": "", "source": "objaverse", "author": ""}
    names = CATALOG.names
    table = pa.Table.from_pylist([{**dict.fromkeys(names), **empty, **row} for row in rows], CATALOG)
    write_table(folder / "catalog" / OBJECTS, table)
    seal(folder / "catalog", Kind.CATALOG, config=catalog_config(), inputs={})
    return folder / "catalog"


def select_from(folder: Path, catalog: Path, tools: Tools | None = None, **changes: Any) -> tuple[set[str], Any]:
    """The kept objects, and the manifest's facts."""
    select_objects(catalog, select_config(**changes), 0, folder / "selected", tools or make_tools(folder))
    kept = {entry.uid for entry in read_selected(folder / "selected" / OBJECTS)}
    return kept, open_manifest(folder / "selected", Kind.SELECTED).facts


ROWS: list[dict[str, Any]] = [
    {"uid": "a", "license": "by", "num_faces": 50, "is_scene": False, "lvis_category": "mug", "score": 6.0},
    {"uid": "b", "license": "cc0", "num_faces": 5000, "is_scene": True, "quality": 3},
    {"uid": "c", "license": "by-nc", "num_faces": 10**7, "num_animations": 2, "is_scene": False, "score": 4.5},
    {"uid": "d", "quality": 1},
]


@pytest.mark.parametrize(
    ("changes", "dropped"),
    [
        (
            {"licences": ["CC-BY-4.0", "cc0"]},
            {"c": "licence CC-BY-NC-4.0 (select.licences)", "d": "the licence is unknown (select.licences)"},
        ),
        (
            {"licences": ["by"], "missing_value": "keep"},
            {uid: f"licence {name} (select.licences)" for uid, name in (("b", "CC0-1.0"), ("c", "CC-BY-NC-4.0"))},
        ),
        ({"lvis_only": True}, dict.fromkeys("bcd", "in no LVIS category (select.lvis_only)")),
        (
            {"flags": {"is_scene": False}},
            {"b": "is_scene is true (select.flags)", "d": "is_scene is unknown (select.flags)"},
        ),
        (
            {"between": {"num_faces": [100, 1e6]}},
            {
                "a": "num_faces 50 < 100 (select.between)",
                "c": "num_faces 10000000 > 1000000 (select.between)",
                "d": "num_faces is unknown (select.between)",
            },
        ),
        ({"between": {"quality": [2, None]}, "missing_value": "keep"}, {"d": "quality 1 < 2 (select.between)"}),
        (
            {"between": {"num_animations": [0, 0]}, "missing_value": "keep"},
            {"c": "num_animations 2 > 0 (select.between)"},
        ),
    ],
)
def test_select_filter_drops_with_the_reason(tmp_path: Path, changes: dict[str, Any], dropped: dict[str, str]) -> None:
    kept, facts = select_from(tmp_path, catalog_of(tmp_path, ROWS), min_score=0, **changes)
    assert reasons(tmp_path) == dropped
    assert kept == set("abcd") - dropped.keys()
    assert sum(facts["dropped"].values()) == len(dropped)


def test_select_counts_each_drop_once_and_the_licences_that_are_left(tmp_path: Path) -> None:
    _, facts = select_from(tmp_path, catalog_of(tmp_path, ROWS), licences=["by", "by-nc"])
    assert facts == {"dropped": {"licences": 2, "min_score": 1}, "licences": {"CC-BY-4.0": 1}}


def test_select_of_an_unknown_licence_names_those_of_the_catalog(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"select\.licences names GPL, .* the catalog has CC-BY-4\.0, CC-BY-NC-4\.0, CC0"
    ):
        select_from(tmp_path, catalog_of(tmp_path, ROWS), licences=["by", "GPL"])


@pytest.mark.parametrize(("bounds", "said"), [([5, 1], r"\[5, 1\]; the first bound"), ([None, None], "has no bound")])
def test_select_bounds_out_of_order_are_refused(bounds: list[float | None], said: str) -> None:
    with pytest.raises(ValidationError, match=rf"between\.num_faces .*{said}"):
        select_config(between={"num_faces": bounds})


def test_select_leaves_out_a_list_and_says_what_is_no_object(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("uid\nb\nlamp\n")
    tools = make_tools(tmp_path)
    kept, _ = select_from(tmp_path, catalog_of(tmp_path, ROWS), tools, min_score=0, leave_out=str(tmp_path / "out.csv"))
    assert kept == {"a", "c", "d"}
    assert "warning: 1 of 2 objects of select.leave_out are not in the catalog: lamp" in notes_of(tools)


def test_select_by_a_list_keeps_it_with_its_splits_whatever_else_is_asked(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("uid,score,split\nd,,train\nc,4.5,val\na,6,train\n")
    catalog, path = catalog_of(tmp_path, ROWS), str(tmp_path / "list.csv")
    select_from(tmp_path, catalog, list=path, lvis_only=True, max_objects=1)
    selected = {entry.uid: entry.split for entry in read_selected(tmp_path / "selected" / OBJECTS)}
    assert selected == {"a": "train", "c": "val", "d": "train"}
    assert reasons(tmp_path) == {"b": "not in the list select.list"}
    before = open_manifest(tmp_path / "selected", Kind.SELECTED).fingerprint
    (tmp_path / "list.csv").write_text("uid\nd\nc\na\n")
    select_from(tmp_path, catalog, list=path, lvis_only=True, max_objects=1)
    assert open_manifest(tmp_path / "selected", Kind.SELECTED).fingerprint != before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("uid\na\nlamp\nsofa\n", r"names 2 of its 3 objects that are not in the catalog, such as lamp, sofa: "),
        ("name\na\n", r"has columns \['name'\]; needed: uid"),
        ("uid,split\na,train\na,train\n", "names objects more than once, in 1 rows"),
        ("uid,split\na,test\n", "line 2: split must be train or val"),
        ("uid,split\na,val\n", "has no object with split train"),
    ],
)
def test_select_list_that_does_not_fit_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        select_from(tmp_path, catalog_of(tmp_path, ROWS), list=str(tmp_path / "list.csv"))


def test_select_drops_objects_that_are_tested_on(tmp_path: Path) -> None:
    params = load_params(PARAMS)
    (tmp_path / "gso" / "b").mkdir(parents=True)
    (tmp_path / "scans" / "c").mkdir(parents=True)
    (tmp_path / "scans" / "c" / "model.glb").write_bytes(glb())
    test = params.render_test.model_copy(update={"source": "folder", "folder": str(tmp_path / "scans")})
    gso = params.gso_eval.model_copy(update={"folder": str(tmp_path / "gso")})
    catalog, out = catalog_of(tmp_path, ROWS), tmp_path / "selected"
    config = select_config(min_score=0)
    select_objects(catalog, config, 0, out, make_tools(tmp_path), render_test=test, gso_eval=gso)
    said = "a test object of render_test.folder or gso_eval.folder has this name"
    assert reasons(tmp_path) == {"b": said, "c": said}
    before = open_manifest(out, Kind.SELECTED)
    assert before.facts["dropped"] == {"test_objects": 2}
    (tmp_path / "gso" / "b").rename(tmp_path / "gso" / "d")
    select_objects(catalog, config, 0, out, make_tools(tmp_path), render_test=test, gso_eval=gso)
    assert reasons(tmp_path) == {"c": said, "d": said}
    assert open_manifest(out, Kind.SELECTED).fingerprint != before.fingerprint


def test_select_compares_the_tables_of_scores(tmp_path: Path) -> None:
    rows = [{"uid": name, "score": 6.0} for name in "abcdef"]
    catalog = catalog_of(tmp_path, rows)
    one, other = [3.0, 4.0, 5.0, 6.0, 7.0], [0.0, 2.0, 1.0, 3.0, 3.0]
    columns = {
        "uid": [*"abcde", *"abcde"],
        "table": ["one.csv"] * 5 + ["other.csv"] * 5,
        "column": ["score"] * 5 + ["quality"] * 5,
        "value": one + other,
    }
    write_parquet(catalog / CLAIMS, pa.table(columns, CLAIM))
    _, facts = select_from(tmp_path, catalog)
    [found] = facts["agreement"]
    assert found["spearman"] == pytest.approx(spearmanr(one, other).statistic, abs=1e-4)
    assert (found["first"], found["second"], found["objects"]) == ("one.csv", "other.csv", 5)
    assert [found[name] for name in ("both", "only_first", "only_second", "neither")] == [2, 1, 1, 1]
