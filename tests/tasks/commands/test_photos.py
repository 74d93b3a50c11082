"""Photos in, a folder of views out, with a toy model through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from flows.__main__ import main
from models.network.noise import build_scheduler
from tests.models.toy_models import NOISE, toy_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "stage3"
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(folder)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A red ball before a white wall, not square."""
    y, x = np.mgrid[:40, :60]
    pixels = np.full((40, 60, 3), 255, dtype=np.uint8)
    pixels[(x - 30) ** 2 + (y - 20) ** 2 < 150] = (200, 40, 40)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def sample(model: Path, out: Path, *words: object) -> int:
    return main(
        ["sample", "--model", str(model), "--out", str(out), "--steps", "2", "--device", "cpu", *map(str, words)]
    )


def test_sample_photo_makes_views_cameras_sheet_and_turntable(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(model, tmp_path / "drawn", photo) == 0
    views = sorted((tmp_path / "drawn").glob("t??.png"))
    assert [view.stem for view in views] == [f"t{index:02d}" for index in range(8)]
    assert Image.open(views[0]).mode == "RGBA"
    table = json.loads((tmp_path / "drawn" / "transforms.json").read_text())
    assert [frame["file_path"] for frame in table["frames"]] == [view.name for view in views]
    with Image.open(tmp_path / "drawn" / "turntable.gif") as turntable:
        assert len(list(ImageSequence.Iterator(turntable))) == 4
    assert Image.open(tmp_path / "drawn" / "sheet.png").width > 4 * 16
    assert "8 views, " in capsys.readouterr().out


def test_sample_same_photo_and_seed_give_the_same_bytes(model: Path, photo: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        assert sample(model, tmp_path / name, photo, photo, "--seed", seed, "--elevation", 30) == 0
    one, two, three = ((tmp_path / name / "t05.png").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three
    assert not (tmp_path / "one" / "t00.png").exists()


def test_sample_mask_is_taken_instead_of_the_background(model: Path, photo: Path, tmp_path: Path) -> None:
    Image.fromarray(np.where(np.mgrid[:40, :60][1] < 30, 255, 0).astype(np.uint8)).save(tmp_path / "mask.png")
    assert sample(model, tmp_path / "masked", photo, "--mask", tmp_path / "mask.png") == 0
    assert sample(model, tmp_path / "found", photo) == 0
    first, second = ((tmp_path / name / "t00.png").read_bytes() for name in ("masked", "found"))
    assert first != second


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.png"], "nowhere.png does not exist"),
        (["text.png"], "text.png is no image that can be read"),
        (["PHOTO", "--as-is"], "image is 60 x 40; pad it to a square"),
        (["PHOTO", "--elevation", "12"], r"elevations_deg is [12.0]; the model knows [0.0, 30.0]"),
        (["PHOTO", "--share", "2"], "'--share': Input should be less than or equal to 1 (got 2)"),
        (
            ["PHOTO", "--attention-chunk", "0"],
            "'--attention-chunk': Input should be greater than or equal to 1 (got 0)",
        ),
        (["PHOTO", "--mask", "PHOTO", "--mask", "PHOTO"], "masks must be as many as images"),
    ],
)
def test_sample_mistake_is_a_sentence_and_leaves_nothing(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    given = [str(photo) if word == "PHOTO" else tmp_path / word if word.endswith(".png") else word for word in words]
    assert sample(model, tmp_path / "drawn", *given) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png", "text.png"]


def test_sample_into_a_folder_that_exists_or_from_no_model_is_refused(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "drawn").mkdir()
    assert sample(model, tmp_path / "drawn", photo) == 2
    assert "exists; name another folder" in capsys.readouterr().err
    assert sample(tmp_path, tmp_path / "new", photo) == 2
    assert "name the folder of a saved pipeline" in capsys.readouterr().err
