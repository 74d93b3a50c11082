"""What is a mask, what is one in disguise, and what is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.data.images import as_rgba
from models.data.masks import alpha_of, checked, fitted, mask_of, require_same_shape, unpremultiplied
from models.data.pixels import Pixels

FAULTS = Path("../shared/data/faults/photos")


def disc(size: tuple[int, int] = (48, 36), softness: float = 1.0) -> Pixels:
    """A disc (height, width) that does not touch the border, 0 to 255."""
    y, x = np.mgrid[: size[0], : size[1]]
    distance = np.hypot(y - size[0] / 2, x - size[1] / 2)
    return np.rint(255 * np.clip((min(size) / 3 - distance) / softness + 0.5, 0, 1)).astype(np.uint8)


def sharp() -> Pixels:
    return np.where(disc() > 127, 255, 0).astype(np.uint8)


def grey(pixels: Any) -> Image.Image:
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    "given",
    [
        grey(sharp() // 255),
        grey(sharp() // 2),
        grey(sharp()).convert("1"),
        grey((sharp() // 255).astype(np.uint16)),
        grey(sharp().astype(np.uint16) * 257),
        grey((sharp() / 255).astype(np.float32)),
        grey(sharp()).convert("LA"),
        Image.merge("RGBA", [grey(np.full((48, 36), 90, dtype=np.uint8))] * 3 + [grey(sharp())]),
        Image.merge("RGB", [grey(sharp()), *[grey(np.zeros((48, 36), dtype=np.uint8))] * 2]),
        Image.merge("RGB", [grey(sharp())] * 3).quantize(2),
    ],
    ids=["0 and 1", "0 and 127", "1 bit", "16 bits, 0 and 1", "16 bits", "float", "LA", "in alpha", "red", "palette"],
)
def test_mask_in_any_form_is_the_same_mask(given: Image.Image) -> None:
    photo = Image.new("RGB", (36, 48), "red")
    assert (np.asarray(as_rgba(photo, given))[..., 3] == sharp()).all()


def test_mask_that_is_soft_stays_soft() -> None:
    assert (np.asarray(mask_of(grey(disc(softness=6)).convert("RGB"))) == disc(softness=6)).all()


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((48, 36), dtype=np.uint8), r"covers 0 % of the image \(it is 0 everywhere\)"),
        (disc(softness=4) // 3, r"covers 0 % of the image \(its brightest value is 85 of 255\)"),
        (sharp() // 255 + sharp() // 255 * (np.arange(36) < 18), "brightest value is 2 of 255, as in a map of labels"),
        (np.full((48, 36), 255, dtype=np.uint8), r"covers 100\.0% of the image"),
        (255 - disc(), r"covers 100% of the image's border and 7\d% of the image; if it is inverted, invert it"),
        (255 - disc((48, 36)) // 255 * 255, r"of the image's border"),
        (np.pad(np.zeros((44, 32), dtype=np.uint8), 2, constant_values=255), r"100% of the image's border and 1\d%"),
        (np.eye(48, 36, dtype=np.uint8)[::-1] * (np.arange(36) < 3) * 255, r"covers \d pixels, 0\.\d+% of the image"),
    ],
    ids=["empty", "too dark", "labels", "full", "inverted", "inverted, sharp", "frame", "specks"],
)
def test_mask_that_is_no_objects_is_refused_with_its_share(mask: Pixels, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked(grey(mask.astype(np.uint8)))


def test_mask_inverted_whose_object_stands_on_the_border_is_refused() -> None:
    mask = np.full((48, 36), 255, dtype=np.uint8)
    mask[10:, 6:30] = 0
    with pytest.raises(ValueError, match=r"covers \d\d% of the image's border"):
        checked(grey(mask))
    assert checked(grey(255 - mask)) is not None  # the object itself may stand there


def test_mask_of_an_object_cut_close_is_taken() -> None:
    tight = disc((40, 40))[6:34, 6:34]
    assert checked(grey(tight)) == grey(tight)


def test_alpha_that_is_opaque_everywhere_is_no_mask() -> None:
    photo = Image.new("RGBA", (36, 48), (200, 30, 30, 255))
    assert alpha_of(photo) is None
    photo.putpixel((3, 3), (200, 30, 30, 252))  # what a lossy format leaves
    assert alpha_of(photo) is None
    photo.putalpha(grey(sharp() // 255))
    alpha = alpha_of(photo)
    assert alpha is not None
    assert (np.asarray(alpha) == sharp()).all()
    photo.putalpha(0)
    with pytest.raises(ValueError, match="covers 0 % of the image"):
        as_rgba(photo)


def test_mask_of_another_size_is_resized_and_of_another_shape_refused() -> None:
    large = grey(disc((480, 360)))
    assert fitted(large, (36, 48)).size == (36, 48)
    overlap = np.asarray(fitted(large, (36, 48))) > 127
    assert (overlap == (disc() > 127)).mean() > 0.97
    require_same_shape((1000, 738), (8064, 5952))  # rounded
    with pytest.raises(ValueError, match=r"the mask is 40 x 48 and its image 36 x 48$"):
        fitted(grey(disc((48, 40))), (36, 48))
    with pytest.raises(ValueError, match="made before the photo was turned upright: turn it too"):
        fitted(grey(disc((36, 48))), (36, 48))


def premultiplied(colour: tuple[int, int, int], alpha: Pixels) -> Image.Image:
    rgb = np.rint(np.array(colour) * (alpha[..., None] / 255)).astype(np.uint8)
    return Image.fromarray(np.dstack([rgb, alpha]))


def straight(colour: tuple[int, int, int], alpha: Pixels) -> Image.Image:
    return Image.fromarray(np.dstack([np.broadcast_to(np.array(colour, dtype=np.uint8), (*alpha.shape, 3)), alpha]))


@pytest.mark.parametrize("colour", [(220, 40, 30), (40, 60, 90), (255, 255, 255)])
def test_premultiplied_colours_are_divided_and_straight_ones_are_not(colour: tuple[int, int, int]) -> None:
    alpha = disc(softness=8)
    divided, was_premultiplied = unpremultiplied(premultiplied(colour, alpha))
    assert was_premultiplied
    seen = alpha > 60
    assert np.abs(np.asarray(divided)[seen, :3].astype(int) - colour).max() <= 5
    assert (np.asarray(divided)[..., 3] == alpha).all()
    for image in (straight(colour, alpha), straight((0, 0, 0), alpha)):
        assert unpremultiplied(image) == (image, False)


@pytest.mark.skipif(not FAULTS.exists(), reason="the shared inputs are not here")
def test_shared_photos_are_taken_rightly() -> None:
    upright, turned = (as_rgba(Image.open(FAULTS / name)) for name in ("upright.jpg", "exif6.jpg"))
    assert turned.size == upright.size == (240, 320)
    for band in range(4):
        one, two = (np.asarray(image.getchannel(band)).astype(int) for image in (upright, turned))
        assert np.abs(one - two).mean() < 2
    masked = as_rgba(Image.open(FAULTS / "upright.jpg"), Image.open(FAULTS / "mask01.png")).getchannel("A")
    found = as_rgba(Image.open(FAULTS / "opaque_alpha.png")).getchannel("A")
    one, two = (np.asarray(alpha) > 127 for alpha in (masked, found))
    assert (one & two).sum() / (one | two).sum() > 0.95
    assert unpremultiplied(Image.open(FAULTS / "soft_premult.png"))[1]
    with pytest.raises(ValueError, match="background is not plain"):
        as_rgba(Image.open(FAULTS / "pattern.png"))
