"""The command that compares two test sets view by view."""

from pathlib import Path

import numpy as np
import pytest

from flows.__main__ import main
from render.cameras import Camera
from tasks.artifacts.test_set import write_test_set
from tests.tasks.small_view_sets import seal_images

GREY = np.full((16, 16, 4), 128, np.uint8)


def made(folder: Path, azimuth_deg: float = 0.0, image: np.ndarray = GREY) -> Path:
    views = [(Camera("t00", azimuth_deg, 0, 1.5, 60), image), (Camera("t01", 90, 0, 1.5, 60), GREY)]
    folder.mkdir()
    out = seal_images(folder, {"ball": views})
    write_test_set(out)
    return out


def test_check_set_of_a_copy_says_that_all_views_are_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = made(tmp_path / "first"), made(tmp_path / "second")
    assert main(["check-set", str(first), str(second / "test_set.json")]) == 0
    assert capsys.readouterr().out == "2 views are equal\n"


def test_check_set_names_views_of_other_pixels_and_cameras(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, darker, turned = made(tmp_path / "first"), made(tmp_path / "dark", 0, GREY // 2), made(tmp_path / "turn", 10)
    assert main(["check-set", str(first), str(darker)]) == 1
    assert "1 have other pixels: " in capsys.readouterr().out
    assert main(["check-set", str(first), str(turned)]) == 1
    assert "1 have another camera: " in capsys.readouterr().out


def test_check_set_without_a_set_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-set", str(made(tmp_path / "first")), str(tmp_path / "none")]) == 2
    assert "test_set.json" in capsys.readouterr().err
