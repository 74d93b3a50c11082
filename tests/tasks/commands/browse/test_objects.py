"""The columns that the data browser searches."""

from pathlib import Path

import pytest

from tasks.commands.browse.objects import ObjectTable, Query, read_object_table
from tests.tasks.commands.browse.small_data import make_data


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectTable:
    return read_object_table(make_data(tmp_path_factory.mktemp("data") / "data"))


@pytest.mark.parametrize(
    ("query", "uids"),
    [
        (Query(), ["apple", "boat", "cup", "dome", "edge"]),
        (Query("APP"), ["apple"]),
        (Query("ada"), ["apple", "boat", "cup", "dome"]),  # the table of objects knows more than the catalog
        (Query("red fruit"), ["apple"]),
        (Query("red water"), []),
        (Query(stage="render"), ["apple", "boat", "cup"]),
        (Query(stage="render", status="failed"), ["cup"]),
        (Query(status="rejected"), ["dome", "edge"]),
        (Query(split="val"), ["boat"]),
        (Query(licence="CC-BY-4.0"), ["apple", "boat", "cup", "dome", "edge"]),
        (Query(reason="score … < …"), ["edge"]),
        (Query(reason="score (… < …"), []),
        (Query("100%_[.*"), []),
    ],
)
def test_search_finds_objects_by_words_and_by_where_they_stand(
    objects: ObjectTable, query: Query, uids: list[str]
) -> None:
    assert objects.search(query)["uid"].to_pylist() == uids


def test_objects_stages_count_what_was_lost_with_the_reasons(objects: ObjectTable) -> None:
    assert [(one.stage, dict(one.counts)) for one in objects.stages] == [
        ("catalog", {"done": 5}),
        ("select", {"done": 4, "rejected": 1}),
        ("download", {"done": 4}),
        ("normalize", {"done": 3, "rejected": 1}),
        ("render", {"done": 2, "failed": 1}),
    ]
    assert objects.stages[1].reasons == (("score … < …", 1),)


def test_object_row_has_the_last_stage_the_log_and_facts_of_all_tables(objects: ObjectTable) -> None:
    row = objects.row("cup")
    assert row is not None
    assert (row["stage"], row["status"]) == ("render", "failed")
    assert "signal 11" in row["reason"]
    assert row["log"].endswith("Segmentation fault")
    apple = objects.row("apple")
    assert apple is not None
    assert (apple["tags"], apple["lvis_category"], apple["author"]) == ("fruit, Red", "apple", "Ada")
    assert objects.row("nobody") is None


def test_objects_of_a_folder_without_stages_or_with_a_damaged_ledger_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no stage that has ended: name the folder"):
        read_object_table(tmp_path)
    data = make_data(tmp_path / "data")
    (data / "views" / "ledger.jsonl").write_text('{"uid": "apple", "stat')
    with pytest.raises(ValueError, match=r"ledger\.jsonl is damaged"):
        read_object_table(data)
