"""Uploads: what is taken, and one sentence with the owner's name of the file for what is not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.commands.page.hints import with_hints
from tasks.commands.uploads import Photos, Upload, UploadLimits, read_uploads
from tests.tasks.commands import bad_photos
from tests.tasks.commands.bad_photos import ball


def read(*paths: Path, limits: UploadLimits = UploadLimits()) -> Photos:  # noqa: B008 - it is frozen
    return read_uploads([Upload(path.name, path) for path in paths], limits)


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (bad_photos.text_file, "letter.jpg", "letter.jpg is no image that can be read; JPEG, PNG"),
        (
            bad_photos.picture_of_100_megapixels,
            "large.png",
            "large.png has 10000 x 10000 pixels, 100 megapixels; at most 64",
        ),
        (
            bad_photos.picture_bomb,
            "bomb.png",
            "bomb.png has 65000 x 65000 pixels, 4225 megapixels; at most 64 are read",
        ),
        (
            bad_photos.empty_wall,
            "wall.png",
            "wall.png: the image has no alpha that is a mask and shows nothing but its",
        ),
        (bad_photos.truncated, "half.png", "half.png is damaged or cut off"),
    ],
)
def test_upload_that_cannot_be_used_is_one_sentence_and_the_others_go_on(
    tmp_path: Path, make: Callable[[Path], Path], name: str, words: str
) -> None:
    photos = read(ball(tmp_path / "ball.png"), make(tmp_path / name))
    assert [cut.name for cut in photos.cut_outs] == ["ball.png"]
    (sentence,) = photos.faults
    assert sentence.startswith(words)
    assert "\n" not in sentence
    assert str(tmp_path) not in sentence


def test_upload_ten_identical_photos_are_used_once_and_named(tmp_path: Path) -> None:
    paths = [ball(tmp_path / f"{number}.png") for number in range(9)]
    ball(tmp_path / "other.bmp")  # the same pixels in another file
    photos = read(*paths, tmp_path / "other.bmp")
    assert len(photos.cut_outs) == 1
    assert photos.notes == [
        "1.png, 2.png, 3.png, 4.png, 5.png, 6.png, 7.png, 8.png and other.bmp show the same picture as 0.png, which is "
        "used once: photos from other sides add more"
    ]
    assert not photos.faults


def test_upload_eleven_photos_are_refused_before_one_is_read(tmp_path: Path) -> None:
    photos = read(*[tmp_path / f"absent{number}.png" for number in range(11)])
    assert photos.faults == ["11 photos were given; at most 10 are taken: leave 1 out"]
    assert not photos.cut_outs


def test_upload_of_more_bytes_than_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(3_000_000))
    (sentence,) = read(tmp_path / "large.png", limits=UploadLimits(megabytes=2)).faults
    assert sentence == "large.png has 3 MB; at most 2 are taken: save it smaller"


def test_upload_animation_gives_its_first_picture_and_says_so(tmp_path: Path) -> None:
    (cut,) = read(bad_photos.animation(tmp_path / "moving.gif")).cut_outs
    assert "holds 3 pictures, the first is taken" in cut.steps


def test_upload_object_at_the_border_is_taken_with_a_warning(tmp_path: Path) -> None:
    (cut,) = read(ball(tmp_path / "cut.png", x=11, radius=12)).cut_outs
    assert "cut at the left border" in cut.warnings[0]
    assert cut.story.endswith(cut.warnings[0])


def test_upload_is_cut_out_by_its_mask_or_within_its_box(tmp_path: Path) -> None:
    photo = bad_photos.before_leaves(tmp_path / "front.png")
    (fault,) = read(photo).faults
    assert "its background is not plain" in fault
    mask = Image.fromarray(np.pad(np.full((20, 20), 255, np.uint8), ((10, 10), (20, 20))))
    mask.save(tmp_path / "front_mask.png")
    given = read_uploads(
        [Upload("front.png", photo, mask=Upload("m.png", tmp_path / "front_mask.png"))], UploadLimits()
    )
    assert "the given mask" in given.cut_outs[0].story
    assert np.asarray(given.cut_outs[0].image)[20, 30, 3] == 255
    boxed = read_uploads([Upload("front.png", photo, box=(14, 4, 46, 36))], UploadLimits())
    assert "GrabCut" in boxed.cut_outs[0].story
    alpha = np.asarray(boxed.cut_outs[0].image)[..., 3] > 128
    assert alpha[20, 30]
    assert not alpha[:, :12].any()
    Image.new("L", (60, 40), 0).save(tmp_path / "nothing.png")
    wrong = read_uploads([Upload("front.png", photo, mask=Upload("m.png", tmp_path / "nothing.png"))], UploadLimits())
    assert wrong.faults[0].startswith("front.png with m.png: ")
    assert wrong.unusable == ["front.png"]


def test_hints_number_photos_of_one_name_and_give_none_of_them_a_mask_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    paths = [ball(tmp_path / "front.png"), ball(tmp_path / "other" / "front.png", x=25)]
    photos = [Upload("front.png", path) for path in paths]
    lines = "front.png 14,4,46,36\nfront (2).png 8,4,41,36"
    found, faults = with_hints(photos, [Upload("front_mask.png", paths[0])], lines)
    assert [(one.name, one.path) for one in found] == [("front.png", paths[0]), ("front (2).png", paths[1])]
    assert [one.box for one in found] == [(14, 4, 46, 36), (8, 4, 41, 36)]
    assert [one.mask for one in found] == [None, None]
    assert faults[0].startswith("the mask front_mask.png belongs to 2 of the photos")
    assert [cut.name for cut in read_uploads(found, UploadLimits()).cut_outs] == ["front.png", "front (2).png"]


def test_hints_find_their_photos_by_name(tmp_path: Path) -> None:
    front, back = Upload("my front.jpg", tmp_path / "1"), Upload("back.png", tmp_path / "2")
    masks = [Upload(name, tmp_path / name) for name in ("back_mask.png", "my front.png", "side.png")]
    found, faults = with_hints([front, back], masks, "my front.jpg 1,2,30,40.5\n\nback.png 1,2\nbefore.png 1,2,3,4\n")
    assert [one.mask and one.mask.name for one in found] == ["my front.png", "back_mask.png"]
    assert [one.box for one in found] == [(1, 2, 30, 40.5), None]
    assert len(faults) == 2
    assert faults[0].startswith("the mask side.png belongs to none of the photos: call it like its photo")
    assert faults[1].startswith("the box 'back.png 1,2' is none: write a photo's name, a blank, and X0,Y0,X1,Y1")
    assert with_hints([back], masks[2:], "")[0][0].mask == masks[2], "one mask for one photo may have any name"
    assert len(with_hints([back], [], "x" * 100_000)[1][0]) < 200
