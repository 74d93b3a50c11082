"""Stage catalog with each source."""

from pathlib import Path

import pyarrow as pa
import pytest

from infra.storage.store import RemoteStore
from tasks.artifacts.manifest import Kind, open_manifest, read_ledger
from tasks.artifacts.parquet import write_parquet
from tasks.artifacts.tables import CLAIMS, OBJECTS, Entry, read_columns, read_entries, write_entries
from tasks.catalog import make_catalog
from tests.infra.server import WebServer
from tests.tasks.hub import catalog_config, glb, lay_out_hub
from tests.tasks.toolbox import make_tools, notes_of


def test_catalog_of_procedural_objects_is_the_same_every_time(tmp_path: Path) -> None:
    config = catalog_config(source="procedural", procedural_indices=6)
    for name in ("one", "two"):
        make_catalog(config, 0, tmp_path / name, make_tools(tmp_path))
    entries = read_entries(tmp_path / "one" / "objects.parquet")
    assert [entry.uid for entry in entries] == ["car-0002", "chair-0001", "mug-0000", "mushroom-0003"]
    assert all(entry.score is not None and entry.location.startswith("procedural:") for entry in entries)
    for file in ("objects.parquet", "manifest.json", "ledger.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_catalog_of_another_seed_has_another_fingerprint(tmp_path: Path) -> None:
    config = catalog_config(source="procedural", procedural_indices=2)
    for seed in (0, 1):
        make_catalog(config, seed, tmp_path / str(seed), make_tools(tmp_path))
    first, second = (open_manifest(tmp_path / str(seed), Kind.CATALOG) for seed in (0, 1))
    assert first.fingerprint != second.fingerprint
    [own] = first.facts["scores"]
    assert (own["table"], own["used"], sum(own["histogram"]["counts"])) == ("procedural", 2, 2)
    assert first.facts["licences"] == {"CC0-1.0": 2}


def test_catalog_procedural_without_a_number_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"catalog\.procedural_indices is null"):
        make_catalog(catalog_config(source="procedural"), 0, tmp_path / "out", make_tools(tmp_path))


def test_catalog_of_some_procedural_families_lists_no_other(tmp_path: Path) -> None:
    config = catalog_config(source="procedural", procedural_indices=30, procedural_families=("duck", "mug"))
    make_catalog(config, 0, tmp_path / "out", make_tools(tmp_path))
    assert [entry.uid for entry in read_entries(tmp_path / "out" / "objects.parquet")] == [
        "duck-0008",
        "mug-0000",
        "mug-0023",
    ]


def test_catalog_of_a_procedural_family_that_there_is_not_raises(tmp_path: Path) -> None:
    config = catalog_config(source="procedural", procedural_indices=30, procedural_families=("duck", "goose"))
    with pytest.raises(ValueError, match="names goose; the families are mug, chair, car"):
        make_catalog(config, 0, tmp_path / "out", make_tools(tmp_path))


def test_catalog_of_objaverse_with_a_table_on_the_web_is_scored(tmp_path: Path) -> None:
    lay_out_hub(tmp_path / "hub", {f"object{index:02d}": glb() for index in range(4)})
    table = "file_identifier,aesthetic_score\nhttps://sketchfab.com/3d-models/object01,5.5\nhttps://x.org/object77,9\n"
    (tmp_path / "hub" / "scores.csv").write_text(table)
    with WebServer(tmp_path / "hub") as web:
        config = catalog_config(scores=f"{web.url}/scores.csv")
        tools = make_tools(tmp_path, hub_url=web.url, store=RemoteStore(attempts=1))
        make_catalog(config, 0, tmp_path / "out", tools)
    scores = {entry.uid: entry.score for entry in read_entries(tmp_path / "out" / "objects.parquet")}
    assert scores == {"object00": None, "object01": 5.5, "object02": None, "object03": None}
    assert b"127.0.0.1" not in (tmp_path / "out" / "objects.parquet").read_bytes()


def test_catalog_table_of_other_objects_raises(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "chair.glb").write_bytes(glb())
    (tmp_path / "scores.csv").write_text("uid,aesthetic_score\nlamp,5\n")
    config = catalog_config(source="folder", folder=str(tmp_path / "in"), scores=str(tmp_path / "scores.csv"))
    with pytest.raises(ValueError, match=r"none of them in the catalog \(such as chair\)"):
        make_catalog(config, 0, tmp_path / "out", make_tools(tmp_path))
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_catalog_table_in_the_config_replaces_the_folder_s_own(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("chair", "lamp"):
        (tmp_path / "in" / f"{name}.glb").write_bytes(glb())
    (tmp_path / "in" / "scores.csv").write_text("uid,aesthetic_score\nlamp,5\nchair,5\n")
    (tmp_path / "scores.csv").write_text("uid,aesthetic_score\nlamp,7\n")
    config = catalog_config(source="folder", folder=str(tmp_path / "in"), scores=str(tmp_path / "scores.csv"))
    make_catalog(config, 0, tmp_path / "out", make_tools(tmp_path))
    scores = {entry.uid: entry.score for entry in read_entries(tmp_path / "out" / "objects.parquet")}
    assert scores == {"chair": None, "lamp": 7.0}


def test_catalog_ledger_has_every_object_of_the_folder_with_what_became_of_it(tmp_path: Path) -> None:
    for name in ("chair1", "chair2", "chair3", "lamp"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.glb").write_bytes(glb())
    (tmp_path / "in" / "gone.glb").symlink_to("nowhere")
    include = ["chair?", "chair9", "sofa*"]
    config = catalog_config(source="folder", folder=str(tmp_path / "in"), include=include, max_objects=2)
    tools = make_tools(tmp_path)
    make_catalog(config, 0, tmp_path / "out", tools)
    ledger = {row.uid: getattr(row, "reason", row.status) for row in read_ledger(tmp_path / "out")}
    listed = [entry.uid for entry in read_entries(tmp_path / "out" / "objects.parquet")]
    [surplus] = {"chair1", "chair2", "chair3"} - set(listed)
    assert ledger == {
        **dict.fromkeys(listed, "done"),
        surplus: "not among the first 2 by uid hash (catalog.max_objects)",
        "lamp": "matches none of catalog.include",
        "gone": "a link to nowhere, which is not there",
    }
    manifest = open_manifest(tmp_path / "out", Kind.CATALOG)
    assert manifest.counts == {"done": 2, "rejected": 3, "failed": 0}
    assert manifest.facts["include_without_object"] == {"count": 2, "examples": ["chair9", "sofa*"]}
    notes = "\n".join(notes_of(tools))
    assert "warning: 2 of 3 patterns of catalog.include match no object: chair9, sofa*" in notes
    assert "python -m flows run --set catalog.max_objects=null" in notes


def test_catalog_include_of_unknown_uids_only_raises_with_examples(tmp_path: Path) -> None:
    config = catalog_config(source="procedural", procedural_indices=3, include=["a", "b", "c", "d"])
    with pytest.raises(
        ValueError, match=r"include a, b, c and 1 more matches no object .* 3 objects .* car-0002, chair"
    ):
        make_catalog(config, 0, tmp_path / "out", make_tools(tmp_path))


def test_catalog_scores_of_unknown_uids_are_said(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("uid,aesthetic_score\nmug-0000,7\nsofa,5\nlamp,5\n")
    config = catalog_config(source="procedural", procedural_indices=2, scores=str(tmp_path / "scores.csv"))
    tools = make_tools(tmp_path)
    make_catalog(config, 0, tmp_path / "out", tools)
    assert "warning: 2 scored uids are no objects: sofa, lamp" in notes_of(tools)
    facts = open_manifest(tmp_path / "out", Kind.CATALOG).facts
    [table] = facts["scores"]
    assert (table["rows"], table["matched"], table["used"], table["without_object"]) == (3, 1, 1, 2)
    assert table["without_object_examples"] == ["sofa", "lamp"]
    assert table["histogram"]["counts"][14] == sum(table["histogram"]["counts"]) == 1


def test_catalog_of_a_table_in_the_home_folder_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "scores.csv").write_text("uid,aesthetic_score\nmug-0000,7\n")
    config = catalog_config(source="procedural", procedural_indices=2, scores="~/scores.csv")
    make_catalog(config, 0, tmp_path / "out", make_tools(tmp_path))
    assert {entry.uid: entry.score for entry in read_entries(tmp_path / "out" / "objects.parquet")}["mug-0000"] == 7.0


def test_entries_written_and_read_are_equal(tmp_path: Path) -> None:
    entries = [
        Entry("b", "glbs/b.glb", 1 / 3, 'A "chair", old\r\nand red', "by", "objaverse"),
        Entry("a-1_X", "a,b\n\tc/椅子.glb", None, "", "", "folder"),
    ]
    write_entries(tmp_path / "objects.parquet", entries)
    assert read_entries(tmp_path / "objects.parquet") == [entries[1], entries[0]]


@pytest.mark.parametrize("uid", ["", "../a", "a/b", "a.b", "a b", "x" * 129])
def test_entry_with_a_uid_that_cannot_name_a_file_raises(uid: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 80 letters"):
        Entry(uid, "x", None, "", "", "folder")


def test_catalog_of_several_tables_takes_the_first_that_knows(tmp_path: Path) -> None:
    """mug-0000, chair-0001, car-0002, mushroom-0003: by the first, by both, by the second, only classed."""
    (tmp_path / "one.csv").write_text("uid,aesthetic_score\nmug-0000,7\nchair-0001,6\nlamp,5\n")
    (tmp_path / "two.csv").write_text("uid,aesthetic_score\nchair-0001,3\ncar-0002,4\ncar-0002,4.5\nmushroom-0003,8\n")
    (tmp_path / "plus.csv").write_text(
        "UID,score,is_scene,is_multi_object\nmug-0000,2,false,true\ncar-0002,0,true,\nmushroom-0003,3,false,false\n"
    )
    names = [str(tmp_path / name) for name in ("one.csv", "two.csv", "plus.csv")]
    config = catalog_config(source="procedural", procedural_indices=6, scores=names)
    tools = make_tools(tmp_path)
    make_catalog(config, 0, tmp_path / "out", tools)
    columns = ["uid", "score", "score_source", "quality", "is_scene", "is_multi_object"]
    assert [tuple(row.values()) for row in read_columns(tmp_path / "out" / OBJECTS, columns).to_pylist()] == [
        ("car-0002", None, None, 0, True, None),
        ("chair-0001", 6.0, "one.csv", None, None, None),
        ("mug-0000", 7.0, "one.csv", 2, False, True),
        ("mushroom-0003", 8.0, "two.csv", 3, False, False),
    ]
    facts = open_manifest(tmp_path / "out", Kind.CATALOG).facts["scores"]
    names = ["rows", "matched", "used", "without_object", "contradicted"]
    assert [[table[name] for name in names] for table in facts] == [[3, 2, 2, 1, 0], [3, 2, 1, 0, 1], [3, 3, 3, 0, 0]]
    assert facts[2]["histogram"]["counts"] == [1, 0, 1, 1]
    said = "warning: two.csv says two things of 1 objects, which count as not scored by it: car-0002"
    assert said in notes_of(tools)
    claims = read_columns(tmp_path / "out" / CLAIMS).to_pylist()
    assert {"uid": "chair-0001", "table": "two.csv", "column": "score", "value": 3.0} in claims
    assert len(claims) == 7


def test_catalog_of_two_tables_of_one_name_raises(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scores.csv").write_text("uid,aesthetic_score\nmug-0000,7\n")
    scores = [str(tmp_path / name / "scores.csv") for name in ("a", "b")]
    config = catalog_config(source="procedural", procedural_indices=2, scores=scores)
    with pytest.raises(ValueError, match=r"names two tables scores\.csv, which no row could tell apart: rename one"):
        make_catalog(config, 0, tmp_path / "out", make_tools(tmp_path))


def test_catalog_of_a_source_with_scores_says_so_of_each(tmp_path: Path) -> None:
    make_catalog(catalog_config(source="procedural", procedural_indices=2), 0, tmp_path / "out", make_tools(tmp_path))
    assert read_columns(tmp_path / "out" / OBJECTS, ["score_source"]).to_pydict() == {
        "score_source": ["procedural"] * 2
    }


def test_table_of_two_objects_of_one_uid_is_refused(tmp_path: Path) -> None:
    entries = [Entry("a", place, None, "", "", "folder") for place in ("1.glb", "2.glb")]
    with pytest.raises(ValueError, match=r"two objects of .* have the uid a"):
        write_entries(tmp_path / OBJECTS, entries)


def test_table_of_before_is_refused_with_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"objects\.parquet does not exist; an earlier version made this folder: run"):
        read_entries(tmp_path / OBJECTS)
    write_parquet(tmp_path / OBJECTS, pa.table({"uid": ["a"]}))
    with pytest.raises(ValueError, match=r"has columns \['uid'\], expected also \['location'"):
        read_entries(tmp_path / OBJECTS)
