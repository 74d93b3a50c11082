"""Read back by pyarrow as the documentation of `datasets` says, and by `datasets` where it is installed."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from tasks.artifacts.licences import hub_licence
from tasks.artifacts.tables import OBJECTS, ObjectFile, write_objects
from tasks.artifacts.views import ViewSet
from tasks.commands.export.source import Source
from tasks.commands.hub_card import size_category
from tests.tasks.commands.export.sets import export, our_pixel, seen_by_opencv
from tests.tasks.small_views import SIDE, cameras_of, write_small_views


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tasks.commands.export.batches.OBJECTS_PER_FILE", 2)
    monkeypatch.setattr("tasks.commands.export.huggingface.GROUP_ROWS", 5)
    views = write_small_views(tmp_path)
    rows = [
        ObjectFile(uid, f"{uid}.glb", "0", 1, "train", None, f"A {uid}", kind)
        for uid, kind in {"o0": "by", "o1": "cc0", "o2": "by-nc", "o3": "by"}.items()
    ]
    write_objects(tmp_path / "objects" / OBJECTS, rows)
    export(Source.open(views, objects=tmp_path / "objects"), "huggingface", tmp_path / "out")
    return tmp_path / "out"


def card_data(folder: Path) -> dict[str, object]:
    _, front, _ = (folder / "README.md").read_text().split("---\n", 2)
    loaded: dict[str, object] = yaml.safe_load(front)
    return loaded


def test_huggingface_rows_are_views_with_their_cameras(exported: Path) -> None:
    assert sorted(path.name for path in (exported / "data").iterdir()) == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
        "validation-00000-of-00001.parquet",
    ]
    file = pq.ParquetFile(exported / "data" / "train-00001-of-00002.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [5, 5, 1]
    views = ViewSet.open(exported.parent / "views")
    rows = file.read().to_pylist()
    for row, camera in zip(rows, cameras_of(2), strict=True):
        assert (row["uid"], row["view"], row["split"]) == ("o2", camera.name, "train")
        assert (row["title"], row["license"]) == ("A o2", "by-nc")
        image = np.array(Image.open(io.BytesIO(row["image"]["bytes"])))
        np.testing.assert_array_equal(image, views.image("o2", camera.name))
        seen = seen_by_opencv(np.array(row["extrinsics"]), np.array(row["intrinsics"]))
        assert seen == pytest.approx(our_pixel(camera, SIDE))
        assert row["azimuth_deg"] == camera.azimuth_deg


def test_huggingface_schema_makes_the_column_an_image(exported: Path) -> None:
    schema = pq.read_schema(exported / "data" / "validation-00000-of-00001.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert [field.name for field in schema.field("image").type] == ["bytes", "path"], "the order that Image has"
    assert set(features) == set(schema.names)


def test_huggingface_card_names_splits_licences_and_size(exported: Path) -> None:
    data = card_data(exported)
    assert data["license"] == ["cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0"]
    assert data["size_categories"] == ["n<1K"]
    assert data["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "data/train-*"},
                {"split": "validation", "path": "data/validation-*"},
            ],
        }
    ]


def test_huggingface_an_unknown_licence_makes_the_data_set_other(tmp_path: Path) -> None:
    export(Source.open(write_small_views(tmp_path, num_objects=2)), "huggingface", tmp_path / "out")
    assert card_data(tmp_path / "out")["license"] == "other"
    assert "it is not known" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("num_rows", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (7_560_000, "1M<n<10M"), (10**9, "n>1B")],
)
def test_huggingface_size_category_is_the_hubs(num_rows: int, category: str) -> None:
    assert size_category(num_rows) == category


@pytest.mark.parametrize(
    ("name", "on_the_hub"), [("by-sa", "cc-by-sa-4.0"), ("CC0-1.0", "cc0-1.0"), ("", "other"), ("Editorial", "other")]
)
def test_huggingface_licence_is_the_hubs(name: str, on_the_hub: str) -> None:
    assert hub_licence(name) == on_the_hub


def test_huggingface_is_loaded_by_datasets(exported: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(exported), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 33, "validation": 11}
    row = loaded["validation"][0]
    assert row["image"].mode == "RGBA"
    assert np.array(row["extrinsics"]).shape == (4, 4)
