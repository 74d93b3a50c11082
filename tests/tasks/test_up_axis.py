"""The up axis of a folder or an object travels from the catalog to the views; where none is given it costs nothing."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from pydantic import ValidationError

from tasks.artifacts.manifest import fingerprint, read_ledger
from tasks.artifacts.placements import read_placements
from tasks.artifacts.tables import OBJECTS, Entry, ObjectFile, read_entries, read_objects, write_entries, write_objects
from tasks.catalog import make_catalog
from tasks.config import CatalogConfig, DownloadConfig, RenderTestConfig, SelectConfig
from tasks.download import download_objects
from tasks.normalize import normalize_objects
from tasks.outcome import Done
from tasks.render_test import render_test_sets
from tasks.select import select_objects
from tasks.sources.folder import FolderSource
from tests.tasks.hub import catalog_config
from tests.tasks.test_render_stages import NORMALIZE, RENDER, TEST
from tests.tasks.toolbox import make_tools

TALL = (
    "v -0.5 -0.5 0\nv 0.5 -0.5 0\nv 0.5 0.5 0\nv -0.5 0.5 0\nv 0 0 4\nf 4 3 2 1\nf 1 2 5\nf 2 3 5\nf 3 4 5\nf 4 1 5\n"
)
SELECT = SelectConfig(min_score=5, missing_score="keep", max_objects=None, val_share=0)
DOWNLOAD = DownloadConfig(max_mb=1, max_failed_share=0)


def write_folder(folder: Path, table: str | None = "uid,aesthetic_score,up_axis\nlying,,y\n") -> Path:
    """Two equal files, 4 high along z; by default the table says of one that it is Y up."""
    folder.mkdir(parents=True)
    for name in ("standing", "lying"):
        (folder / f"{name}.obj").write_text(TALL)
    if table is not None:
        (folder / "scores.csv").write_text(table)
    return folder


def folder_config(folder: Path, **changes: object) -> CatalogConfig:
    return catalog_config(source="folder", folder=str(folder), **changes)


def test_entries_take_the_axis_of_the_table_then_of_the_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    assert {row.uid: row.up_axis for row in FolderSource(folder_config(folder, up_axis="Z"), 0).listing().entries} == {
        "lying": "Y",
        "standing": "Z",
    }
    assert {row.uid: row.up_axis for row in FolderSource(folder_config(folder), 0).listing().entries} == {
        "lying": "Y",
        "standing": None,
    }


def test_entries_cell_that_is_no_axis_raises_with_its_line(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", "uid,aesthetic_score,up_axis\nstanding,,\nlying,,upwards\n")
    with pytest.raises(ValueError, match=r"scores\.csv, line 3: up axis 'upwards' is none of X, Y, Z"):
        FolderSource(folder_config(folder), 0).listing()


@pytest.mark.parametrize("source", ["procedural", "objaverse"])
def test_config_axis_for_a_source_that_is_no_folder_raises_with_remedy(source: str) -> None:
    with pytest.raises(ValidationError, match=r"up_axis is Z and source \w+.*set catalog\.up_axis to null"):
        catalog_config(source=source, up_axis="Z")
    with pytest.raises(ValidationError, match=r"set render_test\.up_axis to null"):
        RenderTestConfig.model_validate({**TEST.model_dump(), "up_axis": "Z"})


def test_config_without_an_axis_has_the_fingerprint_of_before(tmp_path: Path) -> None:
    config = folder_config(tmp_path)
    assert "up_axis" not in config.model_dump(mode="json")
    assert fingerprint(folder_config(tmp_path, up_axis="z")) != fingerprint(config)


def test_tables_with_an_axis_keep_it(tmp_path: Path) -> None:
    rows = [Entry("a", "a.obj", None, "a", "", "folder", up_axis="-Z"), Entry("b", "b.obj", None, "b", "", "folder")]
    write_entries(tmp_path / "entries.parquet", rows)
    assert read_entries(tmp_path / "entries.parquet") == rows
    file = ObjectFile("a", "00/a.obj", "f" * 64, 9, "train", None, "a", "", up_axis="Z")
    write_objects(tmp_path / "objects.parquet", [file])
    assert read_objects(tmp_path / "objects.parquet") == [file]
    assert file.content != replace(file, up_axis=None).content == (file.sha256,)


@pytest.mark.blender
def test_stages_objects_of_one_content_stand_as_their_axes_say(tmp_path: Path) -> None:
    tools = make_tools(tmp_path)
    config = folder_config(write_folder(tmp_path / "in"), up_axis="Z")
    make_catalog(config, 0, tmp_path / "catalog", tools)
    select_objects(tmp_path / "catalog", SELECT, 0, tmp_path / "selected", tools)
    download_objects(tmp_path / "selected", config, DOWNLOAD, 0, tmp_path / "objects", tools)
    assert {row.uid: row.up_axis for row in read_objects(tmp_path / "objects" / OBJECTS)} == {
        "lying": "Y",
        "standing": "Z",
    }
    normalize_objects(tmp_path / "objects", NORMALIZE, tmp_path / "normalized", tools)
    placements = read_placements(tmp_path / "normalized")
    assert placements["standing"].center == pytest.approx((0, 0, 2))
    assert placements["lying"].center == pytest.approx((0, -2, 0))
    assert {row.uid: row.facts["up_axis"] for row in read_ledger(tmp_path / "normalized") if isinstance(row, Done)} == {
        "lying": "Y",
        "standing": "Z",
    }
    test = TEST.model_copy(update={"train_objects": 2, "held_out_objects": 0})
    check_test_meshes(tmp_path, test, {"lying": 1, "standing": 2})


@pytest.mark.blender
def test_render_test_scans_of_a_folder_stand_as_their_axes_say(tmp_path: Path) -> None:
    config = folder_config(write_folder(tmp_path / "in"))
    tools = make_tools(tmp_path)
    make_catalog(config, 0, tmp_path / "catalog", tools)
    select_objects(tmp_path / "catalog", SELECT, 0, tmp_path / "selected", tools)
    download_objects(tmp_path / "selected", config, DOWNLOAD, 0, tmp_path / "objects", tools)
    normalize_objects(tmp_path / "objects", NORMALIZE, tmp_path / "normalized", tools)
    test = RenderTestConfig.model_validate(
        {**TEST.model_dump(), "source": "folder", "folder": str(tmp_path / "in"), "up_axis": "Z"}
    )
    check_test_meshes(tmp_path, test, {"lying": 1, "standing": 2})
    shutil.rmtree(tmp_path / "test_views")
    check_test_meshes(tmp_path, test.model_copy(update={"up_axis": "X"}), {"lying": 1, "standing": 0})


def check_test_meshes(folder: Path, test: RenderTestConfig, tallest: dict[str, int]) -> None:
    """Make the test sets and compare the axis along which each true mesh is longest."""
    render_test_sets(
        folder / "objects",
        folder / "normalized",
        test,
        RENDER,
        NORMALIZE,
        0,
        folder / "test_views",
        make_tools(folder),
    )
    for uid, axis in tallest.items():
        mesh = trimesh.load(folder / "test_views" / "meshes" / f"{uid}.ply")
        assert int(np.argmax(mesh.extents)) == axis, uid
