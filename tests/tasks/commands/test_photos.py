"""Photos in, a folder of views, cut-outs, turntables and meshes out, with a toy model through the command line."""

import io
import json
import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from flows.__main__ import main, run
from models.inference.pipeline import MVDiffusionPipeline
from models.network.noise import build_scheduler
from tasks.commands.turntables import MP4_TURNS
from tests.models.precision_checks import VIEWS_DB, AttentionQueries, alike
from tests.models.toy_models import NOISE, toy_pipeline
from tests.project_copy import write_profile


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
    for name in ("turntable.gif", "turntable.webp"):
        with Image.open(tmp_path / "drawn" / name) as turntable:
            assert len(list(ImageSequence.Iterator(turntable))) == 4
    with av.open(str(tmp_path / "drawn" / "turntable.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 4 * MP4_TURNS
    assert frames[0].shape == (16, 16, 3)
    with Image.open(tmp_path / "drawn" / "turntable.gif") as turntable:
        assert np.abs(np.asarray(turntable.convert("RGB")).astype(int) - frames[0]).mean() < 20
    assert Image.open(tmp_path / "drawn" / "sheet.png").width > 4 * 16
    said = capsys.readouterr()
    assert "8 views, cutouts/c00.png, " in said.out
    assert f"{photo}: 60 x 40, cut out by its plain background, 20% of the image" in said.err
    cut_out = np.asarray(Image.open(tmp_path / "drawn" / "cutouts" / "c00.png"))
    assert cut_out.shape == (50, 50, 4)  # the ball takes half of it
    assert cut_out[25, 25].tolist() == [200, 40, 40, 255]
    assert cut_out[2, 2, 3] == 0


@pytest.mark.slow(seconds=1)
def test_sample_same_photo_and_seed_give_the_same_bytes(model: Path, photo: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        assert sample(model, tmp_path / name, photo, photo, "--seed", seed, "--elevation", 30) == 0
    one, two, three = ((tmp_path / name / "t05.png").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three
    assert not (tmp_path / "one" / "t00.png").exists()


@pytest.mark.slow(seconds=1)
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
        (["PHOTO", "--mask", "PHOTO", "--mask", "PHOTO"], "masks must be as many as images: --mask is given 2 times"),
        (["PHOTO", "--mask", "text.png"], "text.png is no image that can be read"),
        (["PHOTO", "--matte", "grabcut"], "--matte grabcut needs --box X0,Y0,X1,Y1 for each photo"),
        (["PHOTO", "--matte", "plain", "--mask", "PHOTO"], "--mask and --matte plain both say what the object is"),
        (["PHOTO", "--box", "1,2,3,4"], "--box is what GrabCut starts from; give --matte grabcut too"),
        (["PHOTO", "--matte", "grabcut", "--box", "1,2,3"], "--box is 1,2,3; it must be four numbers"),
        (["PHOTO", "--matte", "grabcut", "--box", "0,0,60,40"], "the box 0,0,60,40 covers the whole 60 x 40 image"),
        (["PHOTO", "--matte", "grabcut", "--box", "70,0,90,40"], "the box 70,0,90,40 holds no pixels of the 60 x 40"),
        (["PHOTO", "--matte", "rembg", "--matte-model", "/nowhere/u2net.onnx"], "onnx"),
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


@pytest.fixture
def busy(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A ball with a stripe before a street of coloured tiles, and where the ball is."""
    y, x = np.mgrid[:240, :320]
    rng = np.random.default_rng(1)
    tiles = rng.integers(60, 200, (12, 16, 3)) * [0.6, 1.0, 0.7]
    pixels = np.kron(tiles, np.ones((20, 20, 1)))
    ball = (x - 170) ** 2 + (y - 120) ** 2 < 70**2
    light = 1 - np.hypot(x - 150, y - 95)[..., None] / 260
    pixels[ball] = (light * np.where(np.abs(y - 120)[..., None] < 14, (245, 225, 80), (235, 60, 50)))[ball]
    noisy = pixels + rng.normal(0, 5, pixels.shape)
    path = tmp_path / "busy.jpg"
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=92)
    return path, ball


@pytest.mark.slow(seconds=1)
def test_sample_busy_background_is_refused_with_the_choices_and_cut_out_within_a_box(
    model: Path, busy: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, ball = busy
    assert sample(model, tmp_path / "refused", path) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith(f"{path}: the image has no alpha that is a mask, and its background is not plain: ")
    assert "--matte grabcut with --box, or --matte rembg" in sentence
    assert sample(model, tmp_path / "cut", path, "--matte", "grabcut", "--box", "85,35,255,205", "--share", 1) == 0
    found = np.asarray(Image.open(tmp_path / "cut" / "cutouts" / "c00.png"))[..., 3] > 127
    rows, columns = np.nonzero(ball)
    truth = ball[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert np.abs(np.array(found.shape) - truth.shape).max() <= 3
    whole = np.zeros_like(truth)
    shared = np.minimum(found.shape, truth.shape)
    whole[: shared[0], : shared[1]] = found[: shared[0], : shared[1]]
    assert (whole & truth).sum() / (whole | truth).sum() > 0.95


@pytest.mark.slow(seconds=1)
def test_sample_photo_as_a_phone_stores_it_gives_the_same_cut_out(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photo) as upright:
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
    assert sample(model, tmp_path / "one", photo, "--elevation", 0) == 0
    assert sample(model, tmp_path / "two", tmp_path / "phone.png", "--elevation", 0) == 0
    for name in ("cutouts/c00.png", "t00.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert "60 x 40, turned upright (EXIF orientation 6), cut out by" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["PHOTO"] * 4, "there are 4 photos, and MODEL takes at most 3: leave 1 out"),
        (["PHOTO", "--align-to", "1"], "--align-to is 1; photos are counted from 0, so it can be at most 0"),
        (
            ["PHOTO", "--out", "PHOTO/drawn"],
            "PHOTO/drawn cannot be made, since PHOTO is no folder; free some space, or",
        ),
    ],
)
def test_sample_what_the_model_cannot_take_or_the_disk_cannot_hold_is_said_before_weights_are_read(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    (tmp_path / "model" / "unet").mkdir(parents=True)
    for name in ("model_index.json", "unet/config.json"):
        (tmp_path / "model" / name).write_bytes((model / name).read_bytes())
    given = [word.replace("PHOTO", str(photo)) for word in words]
    assert sample(tmp_path / "model", tmp_path / "drawn", *given) == 2
    assert capsys.readouterr().err.startswith(
        sentence.replace("PHOTO", str(photo)).replace("MODEL", str(tmp_path / "model"))
    )
    assert not (tmp_path / "drawn").exists()


@pytest.mark.slow(seconds=1)
def test_sample_onto_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.commands.sample_files.write_turntables", full)
    assert sample(model, tmp_path / "drawn", photo) == 2
    words = f"{tmp_path / 'drawn'} cannot be written (No space left on device); free some space, or name another folder"
    assert words in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png"]


@pytest.mark.slow(seconds=1)
def test_sample_into_a_folder_whose_name_is_no_text_ends_well_on_any_terminal(
    model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / os.fsdecode(b"drawn\xff")
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="utf-8", errors="strict"))
    words = ["sample", photo, "--model", model, "--out", out, "--steps", 1, "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["flows", *map(str, words)])
    assert run() == 0
    sys.stdout.flush()
    assert rb"drawn\udcff: 8 views, cutouts/c00.png" in shown.getvalue()
    assert (out / "t00.png").exists()


@pytest.mark.slow(seconds=1)
def test_sample_same_picture_twice_is_said(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(photo) as image:
        image.save(tmp_path / "copy.bmp")
    assert sample(model, tmp_path / "drawn", photo, tmp_path / "copy.bmp") == 0
    said = f"{tmp_path / 'copy.bmp'}: shows the same picture as {photo}; photos from other sides add more"
    assert said in capsys.readouterr().err.splitlines()


def test_sample_bad_photos_among_good_ones_are_all_named_before_the_model_is_loaded(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jpg").touch()
    Image.new("RGBA", (30, 30)).save(tmp_path / "clear.png")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text("not read")
    given = (photo, tmp_path / "empty.jpg", photo, tmp_path / "clear.png")
    assert sample(tmp_path / "model", tmp_path / "drawn", *given) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"{tmp_path / 'empty.jpg'} is empty (0 bytes); copy or download it again"
    assert second.startswith(f"{tmp_path / 'clear.png'}: the mask covers 0 % of the image")
    assert second.endswith("; the mask is the picture's own alpha, which --matte plain leaves out")
    assert not (tmp_path / "drawn").exists()


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.full((40, 60), 255), "covers 100.0% of the image"),
        (np.pad(np.zeros((30, 50)), 5, constant_values=255), "of the image's border"),
        (np.ones((40, 40)), "the mask is 40 x 40 and its image 60 x 40"),
    ],
)
def test_sample_mask_that_cannot_be_one_is_named_with_its_photo(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mask: np.ndarray, words: str
) -> None:
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "mask.png")
    assert sample(model, tmp_path / "drawn", photo, "--mask", tmp_path / "mask.png") == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith(f"{photo} with {tmp_path / 'mask.png'}: ")
    assert words in sentence


@pytest.mark.slow(seconds=3)
def test_sample_takes_solver_and_steps_that_the_model_was_made_for(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = toy_pipeline(build_scheduler(NOISE, "ddim")).components
    MVDiffusionPipeline(**parts, num_inference_steps=3).save_pretrained(tmp_path / "model")
    words = ["sample", "--model", tmp_path / "model", "--device", "cpu", photo, "--out"]
    for out, options, steps in (("own", [], 3), ("asked", ["--scheduler", "unipc"], 20)):
        assert main([*map(str, words), str(tmp_path / out), *options]) == 0
        assert f"{steps}/{steps}" in capsys.readouterr().err


@pytest.mark.usefixtures("bfloat16_attention")
@pytest.mark.slow(seconds=3)
def test_sample_computes_in_the_precision_of_the_profile(
    model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        profile = write_profile(tmp_path / f"{precision}.yaml", "laptop", inference_precision=precision)
        monkeypatch.setenv("MVDPP_PROFILE", str(profile))
        with AttentionQueries() as queries:
            assert sample(model, tmp_path / precision, photo) == 0
        assert queries.dtypes(heads=2) == {dtype}
        assert queries.dtypes(heads=1) == {torch.float32}  # of the VAE
    first, second = (np.array(Image.open(tmp_path / name / "t03.png"))[None] for name in ("fp32", "bf16"))
    assert VIEWS_DB < alike(first, second) < 80


def test_sample_in_bf16_on_a_card_without_it_says_so(
    model: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    profile = write_profile(tmp_path / "mine.yaml", "laptop", inference_precision="bf16")
    monkeypatch.setenv("MVDPP_PROFILE", str(profile))
    monkeypatch.setattr("infra.profile.cuda_capability", lambda: (7, 5))
    assert sample(model, tmp_path / "drawn", photo, "--device", "cuda") == 2
    said = capsys.readouterr().err
    assert "a CUDA card here has compute capability 7.5 and bfloat16 needs 8.0; write inference_precision: fp32" in said
    assert "Traceback" not in said
    assert not (tmp_path / "drawn").exists()
