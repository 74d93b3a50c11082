"""The card, the attribution and the Croissant metadata of a view set."""

import csv
import hashlib
import json
from pathlib import Path

import pytest
import yaml

from flows.__main__ import main
from flows.params import load_params
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.tables import OBJECTS, ObjectFile, write_objects
from tests.tasks.made_run import PARAMS
from tests.tasks.small_views import write_small_views


@pytest.fixture
def views(tmp_path: Path) -> Path:
    return write_small_views(tmp_path)


def objects_of(folder: Path, licences: dict[str, str]) -> Path:
    """A sealed folder of objects, of which only the table is there."""
    rows = [
        ObjectFile(
            uid,
            f"00/{uid}.glb",
            "0" * 64,
            9,
            "train",
            6.0,
            f'A "thing", {uid}',
            licence,
            author="somebody",
            source="objaverse",
        )
        for uid, licence in licences.items()
    ]
    write_objects(folder / "objects" / OBJECTS, rows)
    seal(folder / "objects", Kind.OBJECTS, config=load_params(PARAMS).download, inputs={})
    return folder / "objects"


def make_card(views: Path, objects: Path, out: Path) -> int:
    return main(["dataset-card", str(views), str(out), "--objects", str(objects), "--name", "Ducks: some"])


def test_dataset_card_counts_licences_and_names_every_author(views: Path, tmp_path: Path) -> None:
    objects = objects_of(tmp_path, {"o0": "by", "o1": "by-nc", "o2": "by", "o3": "", "unseen": "cc0"})
    assert make_card(views, objects, tmp_path / "card") == 0
    text = (tmp_path / "card" / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "pretty_name": "Ducks: some",
        "license": "other",
        "license_name": "per-object",
        "license_link": "attribution.csv",
        "task_categories": ["image-to-3d"],
        "tags": ["3d", "multi-view", "novel-view-synthesis", "webdataset"],
        "size_categories": ["n<1K"],
    }
    assert "| CC-BY-4.0 | 2 |\n| CC-BY-NC-4.0 | 1 |\n| unknown | 1 |\n" in body
    with (tmp_path / "card" / "attribution.csv").open(newline="") as file:
        first, *others = csv.DictReader(file)
    assert first == {
        "uid": "o0",
        "title": 'A "thing", o0',
        "author": "somebody",
        "license": "CC-BY-4.0",
        "license_url": "https://creativecommons.org/licenses/by/4.0/",
        "address": "https://sketchfab.com/3d-models/o0",
        "split": "train",
    }
    assert [row["uid"] for row in others] == ["o1", "o2", "o3"]


def test_dataset_card_of_one_licence_names_it_as_the_hub_does(views: Path, tmp_path: Path) -> None:
    make_card(views, objects_of(tmp_path, dict.fromkeys(("o0", "o1", "o2", "o3"), "cc0")), tmp_path / "card")
    front = yaml.safe_load((tmp_path / "card" / "README.md").read_text().split("---\n")[1])
    assert front["license"] == ["cc0-1.0"]
    assert "license_link" not in front


def test_dataset_card_has_croissant_metadata_that_refers_to_what_is_there(views: Path, tmp_path: Path) -> None:
    make_card(views, objects_of(tmp_path, dict.fromkeys(("o0", "o1", "o2", "o3"), "by")), tmp_path / "card")
    metadata = json.loads((tmp_path / "card" / "croissant.json").read_text())
    assert metadata["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    table, shards = metadata["distribution"]
    content = (tmp_path / "card" / table["contentUrl"]).read_bytes()
    assert table["sha256"] == hashlib.sha256(content).hexdigest()
    assert sorted(views.glob(shards["includes"]))
    [records] = metadata["recordSet"]
    columns = content.decode().splitlines()[0].split(",")
    assert [field["source"]["extract"]["column"] for field in records["field"]] == columns
    assert {field["source"]["fileObject"]["@id"] for field in records["field"]} == {table["@id"]}
    assert records["key"]["@id"] in [field["@id"] for field in records["field"]]


def test_dataset_card_of_unknown_objects_is_refused(
    views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_card(views, objects_of(tmp_path, {"o0": "by"}), tmp_path / "card") == 2
    assert "shows 3 objects that" in capsys.readouterr().err
    assert not (tmp_path / "card").exists()
