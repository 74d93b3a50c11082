"""`python -m flows look`: one sheet with every object, whatever is wrong with some."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.__main__ import main
from infra.execution.serial_pool import SerialPool
from render.device import Machine
from tasks.commands.look import SIDE, LookJob, describe, look_at_folder
from tasks.commands.look_options import LookOptions
from tasks.commands.look_sheet import Row, draw_sheet
from tasks.config import NormalizeConfig
from tasks.outcome import Failed, Outcome
from tests.project_copy import write_profile
from tests.render.toys import toy_config, write_axes

ROOT = Path(__file__).parents[3]
LIMITS = NormalizeConfig(
    recipe=1, longest_side=1.0, max_faces=1000, missing_texture="reject", enclosed="reject", max_failed_share=0
)
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 2 0\nvt 0 0\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An object in order, one whose texture is lost, one that is cut off and one without faces."""
    folder = tmp_path_factory.mktemp("objects")
    write_axes(folder / "axes.glb")
    (folder / "untextured.obj").write_text(f"mtllib a.mtl\n{TRIANGLE}usemtl a\nf 1/1 2/1 3/1\n")
    (folder / "a.mtl").write_text("newmtl a\nmap_Kd gone.png\n")
    (folder / "cut_off.glb").write_bytes((folder / "axes.glb").read_bytes()[:1000])
    (folder / "points.obj").write_text(TRIANGLE)
    (folder / "scores.csv").write_text("uid,aesthetic_score,up_axis\nuntextured,,-Z\n")
    return folder


@pytest.mark.blender
def test_look_shows_every_object_with_axis_faces_textures_and_reason(folder: Path, tmp_path: Path) -> None:
    options = LookOptions(folder, out=tmp_path / "sheet.png")
    pool = SerialPool[Outcome](failed=Failed)
    said = list(look_at_folder(options, None, LIMITS, toy_config(), pool, Machine(1), tmp_path / "work"))
    assert said[0] == "axes: axes.glb, up Y (the format's), 72 faces"
    assert said[1].startswith("cut_off: cut_off.glb, up Y (the format's): rejected: ")
    assert said[2].startswith("points: points.obj, up Y (the format's): rejected: no faces: ")
    assert said[3].startswith("untextured: untextured.obj, up -Z, 1 faces: rejected: texture 'gone.png' is missing")
    assert said[4] == f"{tmp_path / 'sheet.png'}: 4 of 4 objects"
    sheet = np.array(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    assert sheet.shape[0] > 2 * SIDE, "two objects could be rendered"
    red = sheet[..., 0] - sheet[..., 1:].max(axis=-1)
    assert (red[:SIDE] > 100).sum() > 200, "the red cube on +x"
    magenta = (sheet[..., 0] > 200) & (sheet[..., 2] > 200) & (sheet[..., 1] < 60)
    assert magenta[SIDE : 3 * SIDE].any(), "the second object has no texture"
    assert not list((tmp_path / "work").iterdir()), "nothing is left behind"


@pytest.mark.blender
def test_look_verb_takes_axis_and_objects_from_the_command_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MVDPP_PROFILE", str(write_profile(tmp_path / "serial.yaml", pool="serial")))
    assert main(["look", str(folder), "--up-axis", "z", "--uid", "axes"]) == 0
    said = capsys.readouterr().out.splitlines()  # in this process also what the importer says
    assert "axes: axes.glb, up Z, 72 faces" in said
    assert said[-1] == "look.png: 1 of 4 objects"
    assert (tmp_path / "look.png").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--up-axis", "W"], "up axis 'W' is none of X, Y, Z, -X, -Y, -Z"),
        (["--uid", "chair"], "has no object 'chair'; it has axes, cut_off"),
        (["--num", "0"], "'--num': Input should be greater than or equal to 1 (got 0)"),
    ],
)
def test_look_verb_mistake_is_one_sentence(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MVDPP_PROFILE", "ci")
    assert main(["look", str(folder), *words]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_describe_object_that_took_its_worker_down_is_a_row_without_images(tmp_path: Path) -> None:
    job = LookJob("a", tmp_path / "a.glb", None, LIMITS, toy_config(), Machine(1), tmp_path / "a.npy", tmp_path)
    row = describe(job, Failed("a", "the worker process died"), tmp_path)
    assert row.text == "a: a.glb, up Y (the format's): failed: the worker process died"
    assert row.images == ()


def test_draw_sheet_letters_of_any_language_and_long_reasons_fit() -> None:
    row = Row("椅子: 椅子.obj, up Z", "rejected: " + "a long reason " * 40, (), ())
    sheet = draw_sheet([row, row], num_columns=4, side=64)
    assert sheet.shape[1] == 4 * 70 + 6
    assert (sheet[..., 3] == 255).all()
