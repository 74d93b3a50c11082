"""Where the files of an object lie."""

from pathlib import Path

import pytest

from tasks.artifacts.tables import ObjectFile

FOLDER = Path("data/objects")


@pytest.mark.parametrize(
    ("file", "everything"),
    [
        ("3f/chair.glb", "3f/chair.glb"),
        ("3f/chair/chair.obj", "3f/chair"),
        ("3f/chair/meshes/low/chair.obj", "3f/chair"),
    ],
)
def test_all_files_of_an_object_are_its_own_file_or_its_folder(file: str, everything: str) -> None:
    row = ObjectFile("chair", file, "0" * 64, 1, "train", None, "", "")
    assert row.path(FOLDER) == FOLDER / file
    assert row.all_files(FOLDER) == FOLDER / everything
