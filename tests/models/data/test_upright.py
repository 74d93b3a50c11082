"""Images of every mode, orientation and colour space come out as the same upright picture."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from models.data.colour_spaces import Cicp
from models.data.masks import SOLID, alpha_of, mask_of
from models.data.pixels import Pixels
from models.data.upright import TURNS, WORKING_SIDE, make_upright

INVERSE = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""Orientation that turns a picture into what a camera stores with each orientation."""


def picture() -> Image.Image:
    """No side, corner or channel is like another."""
    pixels = np.full((24, 36, 3), 230, dtype=np.uint8)
    pixels[4:10, 6:12] = (200, 30, 30)
    pixels[14:22, 24:32] = (30, 40, 200)
    return Image.fromarray(pixels)


def difference(first: Image.Image, second: Image.Image) -> float:
    assert first.size == second.size
    one, two = (np.asarray(image.convert("RGB")).astype(int) for image in (first, second))
    return float(np.abs(one - two).mean())


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_every_orientation_in_every_format_is_the_same_picture(orientation: int, file_format: str) -> None:
    stored = picture().transpose(TURNS[INVERSE[orientation]]) if orientation > 1 else picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, format=file_format, exif=exif, quality=95)
    upright = make_upright(Image.open(file))
    assert upright.size == upright.image.size == (36, 24)
    assert difference(upright.image, picture()) < 4
    if orientation > 1 and file_format != "TIFF":  # Pillow turns TIFF by itself
        assert f"orientation {orientation}" in upright.notes[0]


@pytest.mark.parametrize("exif", [b"Exif\x00\x00", b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff", b"Exif\x00\x00rubbish"])
def test_upright_broken_exif_is_ignored(exif: bytes) -> None:
    file = io.BytesIO()
    picture().save(file, format="JPEG", exif=exif)
    assert make_upright(Image.open(file)).size == (36, 24)


def test_upright_orientation_that_exif_does_not_know_is_ignored() -> None:
    image = picture()
    image.getexif()[0x0112] = 9
    assert make_upright(image).image == picture()


RAMP = np.linspace(0, 65535, 24 * 36).reshape(24, 36)


@pytest.mark.parametrize(
    "deep",
    [
        RAMP.astype(np.uint16),
        RAMP.astype(np.uint16) >> 4,  # 12 bits, as scanners store them
        RAMP.astype(np.uint16) >> 8,
        RAMP.astype(np.int32),
        (RAMP * 65537).astype(np.uint32).view(np.int32),
        (RAMP / 65535).astype(np.float32),
        (RAMP / 257).astype(np.float32),
    ],
    ids=["16 bits", "12 bits", "8 bits in 16", "16 bits in 32", "32 bits", "0 to 1", "0 to 255"],
)
def test_upright_deep_greys_keep_their_range(deep: np.ndarray) -> None:
    shown = np.asarray(make_upright(Image.fromarray(deep)).image)[..., 0].astype(int)
    assert np.abs(shown - RAMP / 257).max() < 2
    assert shown[0, 0] == 0
    assert shown[-1, -1] == 255


def test_upright_float_greys_that_overshoot_1_are_clipped_there() -> None:
    shown = make_upright(Image.fromarray(np.array([[0, 0.5, 1, 1.3]], dtype=np.float32))).image
    assert np.asarray(shown)[0, :, 0].tolist() == [0, 128, 255, 255]


def test_upright_big_endian_tiff_of_16_bits_keeps_its_range(tmp_path: Path) -> None:
    tags = [(256, 4, 36), (257, 4, 24), (258, 3, 16 << 16), (259, 3, 1 << 16), (262, 3, 1 << 16), (273, 4, 98)]
    tags += [(277, 3, 1 << 16), (278, 4, 24), (279, 4, 1728)]
    tags = [(tag, kind, value) for tag, kind, value in tags]
    header = b"MM" + struct.pack(">HIH", 42, 8, len(tags))
    body = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in tags) + struct.pack(">I", 0)
    content = header + body
    offset = len(content)
    content = content.replace(struct.pack(">HHII", 273, 4, 1, 98), struct.pack(">HHII", 273, 4, 1, offset))
    (tmp_path / "grey.tif").write_bytes(content + RAMP.astype(">u2").tobytes())
    image = Image.open(tmp_path / "grey.tif")
    assert image.mode == "I;16B"
    assert np.abs(np.asarray(make_upright(image).image)[..., 0] - RAMP / 257).max() < 2


def test_upright_float_image_with_holes_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        make_upright(Image.fromarray(np.full((8, 8), np.nan, dtype=np.float32)))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "P", "RGBX"])
def test_upright_colours_of_other_modes_are_the_pictures(mode: str) -> None:
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(picture(), srgb, lab, outputMode="LAB")
        assert image is not None
    else:
        image = picture().quantize(8) if mode == "P" else picture().convert(mode)
    upright = make_upright(image).image
    assert upright.mode == "RGB"
    assert difference(upright, picture()) < 3


def test_upright_alpha_of_every_mode_is_kept() -> None:
    rgba = picture().convert("RGBA")
    alpha = np.zeros((24, 36), dtype=np.uint8)
    alpha[3:21, 5:33] = 255
    rgba.putalpha(Image.fromarray(alpha))
    keyed = picture()
    keyed.info["transparency"] = (230, 230, 230)
    for image in (rgba, rgba.convert("LA"), rgba.quantize(16), rgba.convert("RGBa")):
        upright = make_upright(image).image
        assert upright.mode == "RGBA", image.mode
        assert (np.asarray(upright)[..., 3] == alpha).all(), image.mode
    assert (np.asarray(make_upright(keyed).image)[..., 3] == 0).mean() > 0.5
    one_bit = make_upright(picture().convert("1")).image
    assert one_bit.getextrema() == ((0, 255),) * 3


def profile_of(primaries: list[tuple[float, float]], gamma: float) -> bytes:
    """An RGB matrix profile as cameras embed it, from the primaries' chromaticities (D65), by ICC.1:2010."""
    white = np.array([0.3127, 0.329])

    def xyz(point: np.ndarray) -> np.ndarray:
        return np.array([point[0] / point[1], 1.0, (1 - point.sum()) / point[1]])

    columns = np.stack([xyz(np.array(point)) for point in primaries], axis=1)
    rgb = columns * np.linalg.solve(columns, xyz(white))
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1.0, 0.8249])
    adapted = np.linalg.inv(cone) @ np.diag((cone @ d50) / (cone @ xyz(white))) @ cone @ rgb

    def fixed(values: np.ndarray) -> bytes:
        return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(d50)}
    for index, letter in enumerate(b"rgb"):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ " + bytes(4) + fixed(adapted[:, index])
        tags[bytes([letter]) + b"TRC"] = curve
    return icc(b"mntr", b"RGB ", b"XYZ ", tags)


def icc(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile with these tags."""
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"wide\x00" + bytes(79)} | tags
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I", start + len(data)) + bytes(4) + b"\x02\x10\x00\x00" + kind + space + connection
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + data


def cyan_prints_red() -> bytes:
    """A CMYK profile of 2 x 2 x 2 x 2 colours, all of them paper white but those with cyan, which are red."""
    red, white = bytes([round(53.2 * 2.55), 80 + 128, 67 + 128]), bytes([255, 128, 128])
    unit = struct.pack(">9i", *(65536 * (index % 4 == 0) for index in range(9)))
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + unit + 4 * ramp + 8 * white + 8 * red + 3 * ramp
    return icc(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


ADOBE_RGB = profile_of([(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)], 2.19921875)
DISPLAY_P3 = profile_of([(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)], 2.2)


@pytest.mark.parametrize(
    ("profile", "expected"),
    # of (60, 160, 60), by hand from the two matrices and transfer functions
    [(ADOBE_RGB, (0, 161, 47)), (DISPLAY_P3, (0, 164, 35))],
    ids=["Adobe RGB", "Display P3"],
)
def test_upright_colours_of_a_wide_profile_become_srgb_and_alpha_stays(
    profile: bytes, expected: tuple[int, int, int]
) -> None:
    image = Image.new("RGBA", (4, 4), (60, 160, 60, 77))
    image.info["icc_profile"] = profile
    upright = make_upright(image)
    pixel = upright.image.getpixel((1, 1))
    assert isinstance(pixel, tuple)
    assert pixel == pytest.approx((*expected, 77), abs=2)
    assert upright.notes == ("colours converted to sRGB from wide",)
    assert make_upright(image, is_mask=True).image.getpixel((1, 1)) == (60, 160, 60, 77)


def test_upright_grey_and_cmyk_follow_their_profiles() -> None:
    linear = b"curv" + bytes(4) + struct.pack(">I", 0)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    grey, print_ = Image.new("L", (4, 4), 128), Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    grey.info["icc_profile"] = icc(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": linear})
    print_.info["icc_profile"] = cyan_prints_red()
    assert make_upright(grey).image.getpixel((1, 1)) == pytest.approx(
        (188, 188, 188), abs=2
    )  # 128 / 255 in linear light
    printed = np.asarray(make_upright(print_).image)[1, 1].astype(int)
    assert printed[0] > 3 * printed[1:].max()  # without the profile it is cyan


def test_upright_grey_with_alpha_follows_its_grey_profile() -> None:
    linear = b"curv" + bytes(4) + struct.pack(">I", 0)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    image = Image.new("LA", (4, 4), (128, 77))
    image.info["icc_profile"] = icc(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": linear})
    upright = make_upright(image)
    assert upright.image.getpixel((1, 1)) == pytest.approx((188, 188, 188, 77), abs=2)  # 128 / 255 in linear light
    assert upright.notes == ("colours converted to sRGB from wide",)


def png(bits: int, colour: int, row: bytes, **chunks: bytes) -> Image.Image:
    """A PNG of one row, with further chunks."""
    width = len(row) * 8 // bits // (1, 0, 3, 1, 2, 0, 4)[colour]
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    for name, data in {"IHDR": header, **chunks, "IDAT": zlib.compress(b"\x00" + row), "IEND": b""}.items():
        kind = name.encode()
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return Image.open(io.BytesIO(content))


def test_upright_gamma_of_a_png_is_applied_where_nothing_else_says_its_colours() -> None:
    row = bytes([0, 128, 255, 77])
    linear = make_upright(png(8, 6, row, gAMA=struct.pack(">I", 100_000)))
    assert linear.image.getpixel((0, 0)) == (0, 188, 255, 77)  # 128 / 255 in linear light
    assert linear.notes == ("colours converted to sRGB from a gamma of 1",)
    old_mac = make_upright(png(8, 0, row, gAMA=struct.pack(">I", 55_556)))
    assert old_mac.image.getpixel((1, 0)) == pytest.approx((147, 147, 147), abs=2)  # 255 * (128 / 255) ** (1.8 / 2.2)
    for chunks in ({"gAMA": 45_455}, {"gAMA": 0}, {"sRGB": b"\x00", "gAMA": 100_000}):
        others = {
            name: value if isinstance(value, bytes) else struct.pack(">I", value) for name, value in chunks.items()
        }
        upright = make_upright(png(8, 6, row, **others))
        assert (upright.image.getpixel((0, 0)), upright.notes) == ((0, 128, 255, 77), ())
    assert make_upright(png(8, 6, row, gAMA=struct.pack(">I", 100_000)), is_mask=True).image.getpixel((0, 0)) == (
        0,
        128,
        255,
        77,
    )


ROW = bytes([60, 160, 60, 77])
SRGB_POINTS, P3_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000), (
    31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000,
)  # fmt: skip


@pytest.mark.parametrize(
    ("points", "gamma", "expected", "note"),
    [
        (P3_POINTS, None, (0, 163, 40), "colours converted to sRGB from primaries of its own"),
        (P3_POINTS, 45_455, (0, 163, 40), "colours converted to sRGB from primaries of its own"),
        (P3_POINTS, 100_000, (107, 210, 125), "colours converted to sRGB from a gamma of 1 and primaries of its own"),
        (SRGB_POINTS, 45_455, (60, 160, 60), ""),
        ((0,) * 8, None, (60, 160, 60), ""),
        ((31270, 32900) + (30000, 30000) * 3, None, (60, 160, 60), ""),
        ((99000, 1000, *P3_POINTS[2:]), None, (60, 160, 60), ""),
        ((31270, 32900, 4_000_000_000, 32000, *P3_POINTS[4:]), None, (60, 160, 60), ""),
    ],
    ids=["P3", "P3 and the usual gamma", "P3 and linear", "sRGB", "nothing", "one point", "a red white", "beyond all"],
)
def test_upright_primaries_of_a_png_are_applied_where_they_can_be(
    points: tuple[int, ...], gamma: int | None, expected: tuple[int, int, int], note: str
) -> None:
    chunks = {"gAMA": struct.pack(">I", gamma)} if gamma else {}
    upright = make_upright(png(8, 6, ROW, cHRM=struct.pack(">8I", *points), **chunks))
    pixel = upright.image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    assert pixel == pytest.approx((*expected, 77), abs=1)
    assert upright.notes == ((note,) if note else ())
    srgb = make_upright(png(8, 6, ROW, cHRM=struct.pack(">8I", *points), sRGB=b"\x00"))
    assert (srgb.image.getpixel((0, 0)), srgb.notes) == ((60, 160, 60, 77), ())


def jpeg_of_a_camera(space: int | None, index: str | None, **options: bytes) -> Image.Image:
    """A JPEG of one colour whose EXIF data says ColorSpace and InteroperabilityIndex."""
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({} if space is None else {0xA001: space})
    if index is not None:
        exif.get_ifd(0x8769)[0xA005] = {1: index}
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (60, 160, 60)).save(file, format="JPEG", exif=exif, quality=100, **options)
    return Image.open(file)


def test_upright_adobe_rgb_that_exif_alone_says_becomes_srgb() -> None:
    told: list[tuple[int | None, str | None]] = [(0xFFFF, "R03"), (2, None)]
    for space, index in told:
        upright = make_upright(jpeg_of_a_camera(space, index))
        assert upright.image.getpixel((1, 1)) == pytest.approx((0, 161, 47), abs=2)
        assert upright.notes == ("colours converted to sRGB from Adobe RGB",)
    for space, index in ((0xFFFF, None), (0xFFFF, "R98"), (1, "R03"), (None, "R03"), (None, None)):
        upright = make_upright(jpeg_of_a_camera(space, index))
        assert upright.image.getpixel((1, 1)) == pytest.approx((60, 160, 60), abs=2)
        assert upright.notes == ()
    assert make_upright(jpeg_of_a_camera(0xFFFF, "R03"), is_mask=True).notes == ()
    profiled = make_upright(jpeg_of_a_camera(0xFFFF, "R03", icc_profile=DISPLAY_P3))
    assert profiled.notes == ("colours converted to sRGB from wide",)


def coded(mode: str, colour: int | tuple[int, ...], cicp: Cicp, **info: Any) -> Image.Image:
    """An image whose file has code points."""
    image = Image.new(mode, (4, 600), colour)
    image.info["cicp"] = cicp
    image.info.update(info)
    return image


def test_upright_code_points_say_the_colours_before_anything_else() -> None:
    p3 = make_upright(coded("RGBA", (60, 160, 60, 77), Cicp(12, 13), icc_profile=ADOBE_RGB, srgb=0, gamma=1.0))
    assert [p3.image.getpixel((1, y)) for y in (0, 599)] == [pytest.approx((0, 163, 40, 77), abs=1)] * 2
    assert p3.notes == ("colours converted to sRGB from Display P3",)
    for known in ((1, 13), (1, 1), (2, 2), (1, 6)):
        plain = make_upright(coded("RGB", (60, 160, 60), Cicp(*known), icc_profile=DISPLAY_P3))
        assert (plain.image.getpixel((1, 1)), plain.notes) == ((60, 160, 60), ())
    linear = make_upright(coded("L", 128, Cicp(1, 8)))
    assert linear.image.getpixel((1, 1)) == (188, 188, 188)
    assert linear.notes == ("colours converted to sRGB from sRGB with a gamma of 1",)
    narrow = make_upright(coded("RGB", (16, 235, 126), Cicp(1, 13, False)))
    assert narrow.image.getpixel((1, 1)) == pytest.approx((0, 255, 128), abs=1)
    assert make_upright(coded("RGB", 5, Cicp(99, 13))).notes == (
        "colours taken for sRGB: code points 99 and 13 are not known",
    )
    white = make_upright(coded("RGB", (255, 255, 255), Cicp(11, 13))).image.getpixel((1, 1))
    assert white == (255, 255, 255)  # another white than sRGB's is white too


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_upright_picture_of_a_high_dynamic_range_is_a_sentence_and_a_mask_is_not(transfer: int, name: str) -> None:
    image = coded("RGB", (9, 9, 9), Cicp(9, transfer))
    with pytest.raises(
        ValueError, match=rf"is a picture of a high dynamic range \({name}\), which is not read; save it"
    ):
        make_upright(image)
    assert make_upright(image, is_mask=True).image.getpixel((1, 1)) == (9, 9, 9)


def test_upright_transparent_grey_of_16_bits_is_transparent_and_no_grey_beside_it() -> None:
    row = struct.pack(">4H", 65535, 65534, 0, 30000)
    upright = make_upright(png(16, 0, row, tRNS=struct.pack(">H", 65535))).image
    assert [upright.getpixel((x, 0)) for x in range(4)] == [
        (255, 255, 255, 0),
        (255, 255, 255, 255),
        (0, 0, 0, 255),
        (117, 117, 117, 255),
    ]


def test_upright_grey_profile_in_an_rgb_image_is_ignored_with_a_word() -> None:
    image = picture()
    image.info["icc_profile"] = icc(b"mntr", b"GRAY", b"XYZ ", {})
    upright = make_upright(image)
    assert difference(upright.image, picture()) == 0
    assert upright.notes == ("colour profile wide ignored: it is for GRAY images",)


@pytest.mark.parametrize("profile", [b"", b"rubbish" * 30, DISPLAY_P3[:200]], ids=["none", "rubbish", "cut off"])
def test_upright_broken_profile_is_ignored(profile: bytes) -> None:
    image = picture()
    image.info["icc_profile"] = profile
    assert difference(make_upright(image).image, picture()) == 0


def test_upright_twice_is_once() -> None:
    image = picture()
    image.info["icc_profile"] = DISPLAY_P3
    image.getexif()[0x0112] = 6
    once = make_upright(image).image
    assert make_upright(once).image == once
    assert difference(once, picture().transpose(TURNS[6])) > 0.1


def test_upright_profile_for_other_images_is_ignored_and_srgb_changes_nothing() -> None:
    for source, words in ((DISPLAY_P3, "it is for RGB images"), (None, "")):
        image = picture().convert("CMYK") if source else picture()
        image.info["icc_profile"] = source or ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        upright = make_upright(image)
        assert difference(upright.image, picture()) < 1
        assert [note.endswith(words) for note in upright.notes] == ([True] if words else [])


def test_upright_large_image_is_made_smaller_by_area_without_colour_from_transparent_pixels() -> None:
    side = WORKING_SIDE + 952
    pixels: Pixels = np.zeros((side, side // 2, 4), dtype=np.uint8)
    pixels[..., 1] = 255  # green where nobody sees it
    pixels[side // 4 : 3 * side // 4, side // 8 : 3 * side // 8] = (200, 30, 30, 255)
    upright = make_upright(Image.fromarray(pixels))
    assert upright.size == (side // 2, side)
    assert upright.image.size == (WORKING_SIDE // 2, WORKING_SIDE)
    small = np.asarray(upright.image)
    assert small[small[..., 3] > 0][:, 1].max() <= 31
    assert (small[..., 3] / 255).mean() == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("side", [WORKING_SIDE // 4, WORKING_SIDE + 953])
@pytest.mark.parametrize("levels", [(0, 1), (0, 5), (0, 100), (0, 200), (0, 255)])
@pytest.mark.slow(seconds=2)
def test_upright_alpha_and_masks_of_two_values_are_the_same_at_any_size(side: int, levels: tuple[int, int]) -> None:
    inside = np.zeros((side, side), dtype=bool)
    inside[side // 4 : side // 2, side // 4 : side // 2] = True
    share, middle = float(inside.mean()), WORKING_SIDE * 3 // 8 if side > WORKING_SIDE else side * 3 // 8
    values = np.where(inside, levels[1], levels[0]).astype(np.uint8)
    pixels = np.dstack([np.full((side, side, 3), 90, dtype=np.uint8), values])
    pixels[inside, :3] = (200, 40, 40)
    photo = make_upright(Image.fromarray(pixels)).image
    alpha = alpha_of(photo)
    assert alpha is not None
    assert (np.asarray(alpha) > SOLID).mean() == pytest.approx(share, rel=0.01)
    assert photo.convert("RGB").getpixel((middle, middle)) == pytest.approx((200, 40, 40), abs=1)
    red = np.dstack([values, 0 * values, 0 * values]) if levels[1] > 1 else values  # a red of 1 is a grey of 0.3
    for given in (values, values.astype(np.uint16), red):
        mask = mask_of(make_upright(Image.fromarray(given), is_mask=True).image)
        assert (np.asarray(mask) > SOLID).mean() == pytest.approx(share, rel=0.01)


@pytest.mark.slow(seconds=2)
def test_upright_large_grey_photo_of_two_values_and_opaque_alpha_stay_as_they_are() -> None:
    side = WORKING_SIDE + 952
    halves = np.where(np.mgrid[:side, :side][1] < side // 2, 10, 200).astype(np.uint8)
    grey = make_upright(Image.fromarray(halves)).image
    assert (grey.getpixel((9, 9)), grey.getpixel((WORKING_SIDE - 9, 9))) == ((10,) * 3, (200,) * 3)
    nearly = np.where(halves == 10, 252, 255).astype(np.uint8)
    assert alpha_of(make_upright(Image.fromarray(np.dstack([halves, halves, halves, nearly]))).image) is None


def test_upright_very_long_image_keeps_a_row() -> None:
    assert make_upright(Image.new("RGB", (3 * WORKING_SIDE, 2))).image.size == (WORKING_SIDE, 1)


def test_upright_large_deep_grey_is_scaled_by_its_brightest_pixel_anywhere() -> None:
    deep = np.zeros((2 * WORKING_SIDE, 8), dtype=np.uint16)
    deep[-400:] = 60000
    small = np.asarray(make_upright(Image.fromarray(deep)).image)[..., 0]
    assert small[100, 1] == 0
    assert small[-10, 1] == round(60000 / 257)
