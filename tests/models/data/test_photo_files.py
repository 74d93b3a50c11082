"""Photos from disk: what is taken, and the one sentence for what is not."""

import io
import os
import struct
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from models.data.code_points import code_points
from models.data.colour_spaces import Cicp
from models.data.decoders import COSTLY, MOST_SCANS
from models.data.photo_files import MAX_MEGAPIXELS, read_photo
from models.data.upright import WORKING_SIDE

HAS_HEIF = find_spec("pillow_heif") is not None


def noise(side: int = 160) -> Image.Image:
    """Nothing in it can be guessed, so half a file is half a picture."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def encoded(file_format: str, image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format=file_format)
    return file.getvalue()


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_read_photo_cut_off_file_is_a_sentence_with_its_name(tmp_path: Path, file_format: str, share: float) -> None:
    content = encoded(file_format, noise())
    path = tmp_path / "photo.any"
    path.write_bytes(content)
    assert read_photo(path).size == (160, 160)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        ValueError, match=r"photo\.any is (damaged or cut off: .*; copy or download it again|TIFF .* or cut off)"
    ):
        read_photo(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"is empty \(0 bytes\); copy or download it again"),
        (b"my holidays", "is no image that can be read; JPEG, PNG"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "is a web page and not an image"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a git-LFS pointer and not the image itself"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is a drawing"),
        (
            b'<?xml version="1.0"?><!DOCTYPE plist>',
            "is a text \\(XML\\), such as a drawing in SVG or what a phone or an",
        ),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>", "is a text \\(XML\\)"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ", "is what macOS notes beside a file of the same name"),
        (b"\x89PNG\n\x1a\n" + bytes(20), "is damaged or cut off"),  # sent as text
        (b"\xff\x0a" + bytes(30), "is JPEG XL"),
        (b"II*\x00\x08\x00\x00\x00" + bytes(8), "is TIFF of a kind that is not read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image that can be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "is damaged or cut off"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  " + bytes(60), "is a video and not a photo; save one picture"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(60), "is a video and not a photo"),
        (b"RIFF\x00\x01\x00\x00AVI LIST" + bytes(60), "is a video and not a photo"),
        (b"\x1a\x45\xdf\xa3" + bytes(60), "is a video and not a photo"),
        (b"\x00\x00\x00\x18ftypcrx " + bytes(60), "is a raw photo; develop it"),
        (b"\x00\x00\x00\x1cftypavif" + bytes(60), "is damaged or cut off"),
        (b"PK\x03\x04" + bytes(60), "is an archive"),
        (b"#?RADIANCE\n", "is a picture of a high dynamic range"),
    ],
)
def test_read_photo_what_is_no_image_says_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"photo\.jpg " + words):
        read_photo(path)


def test_read_photo_missing_folder_and_raw_photos_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere.jpg does not exist"):
        read_photo(tmp_path / "nowhere.jpg")
    for address in ("https://example.com/a.jpg", "s3://bucket/a.jpg", "data:image/png;base64,AAAA", "-"):
        with pytest.raises(ValueError, match="is no file of this machine; download or save the photo, and name that"):
            read_photo(Path(address))
    with pytest.raises(ValueError, match="is a folder; name the image files in it"):
        read_photo(tmp_path)
    (tmp_path / "a.NEF").write_bytes(encoded("TIFF", noise(8)))
    with pytest.raises(ValueError, match=r"a.NEF is a raw photo; develop it"):
        read_photo(tmp_path / "a.NEF")
    noise(8).save(tmp_path / "thumbnail.tif", tiffinfo={50706: b"\x01\x04\x00\x00"})
    with pytest.raises(ValueError, match=r"thumbnail.tif is a raw photo \(DNG\)"):
        read_photo(tmp_path / "thumbnail.tif")
    noise(8).save(tmp_path / "raw.tif", tiffinfo={254: 1})  # its whole picture lies in a folder of its own
    with pytest.raises(ValueError, match=r"raw.tif begins with a thumbnail of 8 x 8 pixels, as raw photos do"):
        read_photo(tmp_path / "raw.tif")
    noise(8).save(tmp_path / "b.pef", format="TIFF")
    with pytest.raises(ValueError, match=r"b.pef is a raw photo; develop it"):
        read_photo(tmp_path / "b.pef")


def tiff(path: Path, samples: np.ndarray, *, photometric: int = 1, sample_format: int = 1, planes: int = 1) -> Path:
    """An uncompressed TIFF of samples (height, width), or (3, height, width) in planes of their own."""
    bands, (height, width) = samples.shape[0] if samples.ndim == 3 else 1, samples.shape[-2:]
    size = samples.nbytes // bands
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [samples.itemsize * 8] * bands), 259: (3, [1])}
    tags |= {262: (3, [photometric]), 273: (4, [8 + band * size for band in range(bands)]), 277: (3, [bands])}
    tags |= {278: (4, [height]), 279: (4, [size] * bands), 284: (3, [planes]), 339: (3, [sample_format] * bands)}
    end = 8 + samples.nbytes + 2 + 12 * len(tags) + 4
    table, behind = b"", b""
    for tag, (kind, values) in tags.items():
        content = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(content) > 4:
            content, behind = struct.pack("<I", end + len(behind)), behind + content
        table += struct.pack("<HHI", tag, kind, len(values)) + content.ljust(4, b"\x00")
    head = b"II*\x00" + struct.pack("<I", 8 + samples.nbytes)
    path.write_bytes(head + samples.tobytes() + struct.pack("<H", len(tags)) + table + bytes(4) + behind)
    return path


RAMP = np.arange(6, dtype=np.int16).reshape(2, 3) * 10000


def test_read_photo_tiff_whose_pixels_pillow_mistakes_is_a_sentence(tmp_path: Path) -> None:
    deep, three = RAMP.astype(np.uint16), np.stack([RAMP.astype(np.uint16)] * 3)
    for path, words in (
        (tiff(tmp_path / "negative.tif", deep, photometric=0), "is TIFF of 16 bits in which white is 0; save it with"),
        (tiff(tmp_path / "planes.tif", three, photometric=2, planes=2), "is TIFF of 16 bits whose colours lie in sep"),
        (
            tiff(tmp_path / "signed.tif", RAMP - 5, sample_format=2),
            "is TIFF with numbers below 0, down to -25541; save",
        ),
        (
            tiff(tmp_path / "bytes.tif", np.array([[3, -7]], np.int8), sample_format=2),
            "is TIFF with numbers below 0, down to -7",
        ),
    ):
        with pytest.raises(ValueError, match=f"{path.name} {words}"):
            read_photo(path)
    usual = read_photo(tiff(tmp_path / "usual.tif", deep)).image
    positive = read_photo(tiff(tmp_path / "positive.tif", np.abs(RAMP), sample_format=2)).image
    assert np.asarray(usual)[0, :, 0].tolist() == np.asarray(positive)[0, :, 0].tolist() == [0, 39, 78]
    white = read_photo(tiff(tmp_path / "white.tif", np.array([[0, 55]], np.uint8), photometric=0)).image
    assert np.asarray(white)[0, :, 0].tolist() == [255, 200]
    planes = np.array([[[10, 9]], [[20, 9]], [[30, 9]]], np.uint8)
    colours = read_photo(tiff(tmp_path / "colours.tif", planes, photometric=2, planes=2)).image
    assert colours.getpixel((0, 0)) == (10, 20, 30)


def test_read_photo_tiff_with_a_broken_tag_is_read_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    noise(8).save(tmp_path / "photo.tif", tiffinfo={274: 1})
    content = (tmp_path / "photo.tif").read_bytes()
    once, twice = struct.pack("<HHI", 274, 3, 1), struct.pack("<HHI", 274, 3, 2)
    assert once in content
    (tmp_path / "photo.tif").write_bytes(content.replace(once, twice))
    assert np.array_equal(np.asarray(read_photo(tmp_path / "photo.tif").image), np.asarray(noise(8)))
    assert not recwarn.list


def test_read_photo_link_to_nothing_and_name_that_is_too_long_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to("gone.png")
    with pytest.raises(ValueError, match=r"link.png is a link to gone.png, which does not exist"):
        read_photo(tmp_path / "link.png")
    with pytest.raises(ValueError, match=r"x.png cannot be opened \(File name too long\)"):
        read_photo(tmp_path / f"{'x' * 300}.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_read_photo_without_permission_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.png").touch(mode=0)
    with pytest.raises(ValueError, match=r"mine.png may not be read by this user"):
        read_photo(tmp_path / "mine.png")


@pytest.mark.slow(seconds=2)
def test_read_photo_of_400_megapixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    limit = Image.MAX_IMAGE_PIXELS
    words = f"bomb.png has 20000 x 20000 pixels, 400 megapixels; at most {MAX_MEGAPIXELS} are read"
    with pytest.raises(ValueError, match=words):
        read_photo(tmp_path / "bomb.png")
    assert limit == Image.MAX_IMAGE_PIXELS


def test_read_photo_icon_with_a_large_picture_inside_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    for side, words in (
        (40, None),
        (6000, "icon.ico is an icon whose picture has more than 2.1 megapixels; save that"),
    ):
        png = encoded("PNG", Image.new("1", (side, side), 1))
        entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(png), 22)  # 0: it claims 256 pixels
        (tmp_path / "icon.ico").write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + png)
        if words is None:
            assert read_photo(tmp_path / "icon.ico").size == (side, side)
        else:
            with pytest.raises(ValueError, match=words):
                read_photo(tmp_path / "icon.ico")


def test_read_photo_formats_whose_decoders_take_much_memory_have_a_bound_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = noise(160)
    small.save(tmp_path / "AVIF", format="AVIF")
    small.save(tmp_path / "moving WebP", format="WEBP", save_all=True, append_images=[Image.new("RGB", small.size)])
    small.save(tmp_path / "JPEG 2000", format="JPEG2000")
    deep = cv2.imencode(".tif", np.asarray(small).astype(np.uint16) * 257)[1]
    (tmp_path / "TIFF of 16 bits").write_bytes(deep.tobytes())
    small.save(tmp_path / "PNG", format="PNG")
    for kind in COSTLY:
        assert read_photo(tmp_path / kind).size == (160, 160)
        monkeypatch.setitem(COSTLY, kind, 0.02)
        words = (
            f"{kind} has 160 x 160 pixels, 0 megapixels; at most 0.02 are read of {kind}; save it smaller, or as PNG"
        )
        with pytest.raises(ValueError, match=words):
            read_photo(tmp_path / kind)
    assert read_photo(tmp_path / "PNG").size == (160, 160)


@pytest.mark.parametrize(
    "width", [4 * WORKING_SIDE + 3, 4 * WORKING_SIDE + 5]
)  # Pillow expects too little of a quarter
@pytest.mark.parametrize(("num_resolutions", "is_reduced"), [(6, True), (1, False)])
def test_read_photo_large_jpeg_2000_is_decoded_smaller_where_it_has_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, num_resolutions: int, is_reduced: bool
) -> None:
    image = Image.new("RGB", (width, 60), "white")
    image.paste("red", (0, 0, WORKING_SIDE, 30))
    image.save(tmp_path / "photo.jp2", num_resolutions=num_resolutions)
    monkeypatch.setitem(COSTLY, "JPEG 2000", 0.2)  # of 0.49, a quarter of which is decoded, or less
    if not is_reduced:
        with pytest.raises(ValueError, match=r"at most 0\.2 are read of JPEG 2000"):
            read_photo(tmp_path / "photo.jp2")
        return
    photo = read_photo(tmp_path / "photo.jp2")
    assert photo.size == image.size
    assert photo.image.size == (WORKING_SIDE, 15)
    assert photo.image.getpixel((100, 3)) == pytest.approx((255, 0, 0), abs=4)
    assert photo.image.getpixel((1000, 3)) == pytest.approx((255, 255, 255), abs=4)
    assert photo.notes == (f"made smaller, from {width} x 60",)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
def test_read_photo_jpeg_of_very_many_scans_is_refused_and_no_other(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "photo.jpg"
    image = noise(64)
    image.save(path, exif=Image.Exif().tobytes(), icc_profile=b"\xff\xda" * 3000, comment=b"\xff\xd9", **options)
    content = path.read_bytes()
    path.write_bytes(content + b"\xff\xda" * 3000)  # what lies behind the picture, as a film in a phone's, is no scan
    assert read_photo(path).size == (64, 64)
    scan = content.rindex(b"\xff\xda")
    for repeats in (100, 1000) if "progressive" in options else (1000,):
        path.write_bytes(content[:scan] + content[scan:-2] * repeats + b"\xff\xd9")
        if repeats > MOST_SCANS:
            with pytest.raises(ValueError, match=r"photo.jpg is a JPEG of more than 500 scans, .*; save it again"):
                read_photo(path)
        else:
            assert read_photo(path).size == (64, 64)


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="Linux counts the bytes that a process reads")
def test_read_photo_jpeg_is_read_from_disk_once(tmp_path: Path) -> None:
    def bytes_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    noise(1024).save(tmp_path / "photo.jpg", quality=95)
    before = bytes_read()
    read_photo(tmp_path / "photo.jpg")
    assert bytes_read() - before < 1.5 * (tmp_path / "photo.jpg").stat().st_size


def test_read_photo_png_with_a_long_history_is_read(tmp_path: Path) -> None:
    history = PngImagePlugin.PngInfo()
    history.add_text("history", "a stroke of the brush, " * 100_000, zip=True)
    noise(8).save(tmp_path / "edited.png", pnginfo=history)
    limit = PngImagePlugin.MAX_TEXT_CHUNK
    assert read_photo(tmp_path / "edited.png").size == (8, 8)
    assert limit == PngImagePlugin.MAX_TEXT_CHUNK


def test_read_photo_avif_with_the_brand_of_all_heif_in_front_is_read(tmp_path: Path) -> None:
    content = encoded("AVIF", Image.new("RGB", (16, 8), "red"))
    (tmp_path / "photo.avif").write_bytes(content.replace(b"ftypavif", b"ftypmif1", 1))
    assert read_photo(tmp_path / "photo.avif").image.getpixel((4, 4)) == pytest.approx((255, 0, 0), abs=4)


def with_chunk(content: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with a chunk behind its header."""
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content[:33] + chunk + content[33:]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_read_photo_code_points_of_png_and_avif_are_applied(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (16, 16), (60, 160, 60, 77)[: len(mode)])
    png, avif, box = encoded("PNG", image), encoded("AVIF", image), b"colrnclx\x00\x01\x00\x0d"
    assert box in avif
    path, notes = tmp_path / "photo", ("colours converted to sRGB from Display P3",)
    for content in (
        with_chunk(png, b"cICP", b"\x0c\x0d\x00\x01"),
        with_chunk(with_chunk(png, b"cICP", b"\x0c\x0d\x00\x01"), b"iCCP", b"none\x00\x00" + zlib.compress(b"none")),
        avif.replace(box, b"colrnclx\x00\x0c\x00\x0d"),
    ):
        path.write_bytes(content)
        photo = read_photo(path)
        assert np.asarray(photo.image)[4, 4, :3] == pytest.approx((0, 163, 40), abs=6)
        assert (photo.image.mode, photo.notes) == (mode, notes)
        assert np.asarray(read_photo(path, is_mask=True).image)[4, 4, :3] == pytest.approx((60, 160, 60), abs=6)
    for content in (png, avif, with_chunk(png, b"cICP", b"\x01\x0d\x00\x01")):
        path.write_bytes(content)
        assert read_photo(path).notes == ()
    for content in (
        with_chunk(png, b"cICP", b"\x09\x10\x00\x01"),
        avif.replace(box, b"colrnclx\x00\x09\x00\x10"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"photo is a picture of a high dynamic range \(PQ\), which is not read"):
            read_photo(path)


def test_code_points_property_number_zero_is_no_property() -> None:
    """The last property, another image's, tells colours; the image has the first, and number 0."""

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), kind) + content

    listed = box(b"ipco", box(b"ispe", bytes(12)) + box(b"colr", b"nclx" + struct.pack(">HHHB", 12, 13, 6, 0x80)))
    for last, expected in ((2, Cicp(12, 13)), (0, None)):
        numbers = box(b"ipma", bytes(4) + struct.pack(">IHBBB", 1, 1, 2, 1, last))
        meta = box(b"meta", bytes(4) + box(b"pitm", bytes(4) + b"\0\1") + box(b"iprp", listed + numbers))
        assert code_points(io.BytesIO(box(b"ftyp", b"avif" + bytes(4)) + meta)) == expected


def test_code_points_of_every_beginning_of_a_file_are_none_or_the_files() -> None:
    image = Image.new("RGBA", (16, 16), (60, 160, 60, 77))
    for content, expected in (
        (with_chunk(encoded("PNG", image), b"cICP", b"\x0c\x0d\x00\x01"), Cicp(12, 13)),
        (encoded("AVIF", image), Cicp(1, 13)),
    ):
        assert {code_points(io.BytesIO(content[:size])) for size in range(len(content) + 1)} == {None, expected}
    profiled = io.BytesIO()
    image.save(profiled, format="AVIF", icc_profile=b"a profile")
    profiled.seek(0)
    assert code_points(profiled) is None
    assert code_points(io.BytesIO(encoded("JPEG", image.convert("RGB")))) is None


def test_read_photo_tiff_of_very_many_pages_is_read_at_once(tmp_path: Path) -> None:
    path = tiff(tmp_path / "pages.tif", np.array([[7, 9]], np.uint8))
    content = path.read_bytes()
    start = struct.unpack("<I", content[4:8])[0]
    page = content[start:-4]  # its tags, without where the next page begins
    size = len(page) + 4
    pages = b"".join(page + struct.pack("<I", start + size * number) for number in range(1, 100_000))
    path.write_bytes(content[:start] + pages + page + bytes(4))
    photo = read_photo(path)  # Pillow counts them for hours
    assert photo.notes == ("holds more than 1000 pictures, the first is taken",)
    assert photo.image.getpixel((1, 0)) == (9, 9, 9)
    path.write_bytes(content[:start] + page + struct.pack("<I", start))  # a page that is followed by itself
    assert read_photo(path).notes == ("holds more than 1000 pictures, the first is taken",)
    for number in (1, 3):
        for options in ({}, {"big_tiff": True}):
            images = [Image.new("L", (4, 4), value) for value in range(number)]
            images[0].save(path, format="TIFF", save_all=True, append_images=images[1:], **options)
            assert read_photo(path).notes == (("holds 3 pictures, the first is taken",) if number == 3 else ())


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_read_photo_animation_gives_its_first_picture_and_says_so(tmp_path: Path, file_format: str) -> None:
    red, *others = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime"))
    red.save(tmp_path / "moving", format=file_format, save_all=True, append_images=others)
    photo = read_photo(tmp_path / "moving")
    assert photo.image.getpixel((4, 4)) == pytest.approx((255, 0, 0), abs=4)
    assert photo.notes == ("holds 3 pictures, the first is taken",)


def test_read_photo_of_a_phone_with_a_preview_inside_is_one_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image, preview = Image.new("RGB", (64, 32), "red"), Image.new("RGB", (8, 4), "blue")
    image.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[preview], exif=exif)
    photo = read_photo(tmp_path / "phone.jpg")
    assert photo.size == (32, 64)
    assert photo.image.getpixel((4, 4)) == pytest.approx((255, 0, 0), abs=4)
    assert photo.notes == ("turned upright (EXIF orientation 6)",)


def test_read_photo_png_with_a_wrong_pixel_is_damaged_and_one_with_the_end_missing_is_read(tmp_path: Path) -> None:
    content = encoded("PNG", noise())
    path, middle = tmp_path / "photo.png", len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    words = (
        r"photo\.png is damaged: the check sum of its pixels is another than it should be; copy or download it again"
    )
    with pytest.raises(ValueError, match=words):
        read_photo(path)
    path.write_bytes(content[:-12])
    assert np.array_equal(np.asarray(read_photo(path).image), np.asarray(noise()))


@pytest.mark.parametrize("damage", [(b"iloc", b"ilox"), (b"", b"")], ids=["place", "pixels"])
def test_read_photo_avif_that_its_decoder_gives_up_is_damaged(tmp_path: Path, damage: tuple[bytes, bytes]) -> None:
    content = encoded("AVIF", noise()).replace(*damage, 1)
    start = content.index(b"mdat") + 20
    (tmp_path / "photo.avif").write_bytes(content[:start] + bytes(40) + content[start + 40 :])
    with pytest.raises(
        ValueError, match=r"photo\.avif is damaged or cut off: Failed to decode .*; copy or download it"
    ):
        read_photo(tmp_path / "photo.avif")


def test_read_photo_palette_that_is_missing_is_damage(tmp_path: Path) -> None:
    content = encoded("PNG", noise(16).quantize(8))
    start = content.index(b"PLTE") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    (tmp_path / "photo.png").write_bytes(content[:start] + content[end:])
    with pytest.raises(ValueError, match=r"photo\.png is damaged: its palette is missing; copy or download it again"):
        read_photo(tmp_path / "photo.png")


@pytest.mark.parametrize(("file_format", "mode"), [("TGA", "RGB"), ("PNG", "RGBA")])
def test_read_photo_fourth_byte_that_is_0_everywhere_is_padding_where_programs_write_it(
    tmp_path: Path, file_format: str, mode: str
) -> None:
    image = noise(8).convert("RGBA")
    image.putalpha(0)
    image.save(tmp_path / "photo", format=file_format)
    photo = read_photo(tmp_path / "photo").image
    assert photo.mode == mode
    assert np.array_equal(np.asarray(photo)[..., :3], np.asarray(noise(8)))
    image.putpixel((3, 3), (9, 9, 9, 255))
    image.save(tmp_path / "photo", format=file_format)
    assert read_photo(tmp_path / "photo").image.mode == "RGBA"


def psd(colour: tuple[int, int, int], num_layers: int) -> bytes:
    """A Photoshop file of 4 x 4 pixels: empty layers, and one colour that they are composed to."""
    extra = struct.pack(">II", 0, 0) + b"\x03one"
    record = struct.pack(">4iH", 0, 0, 0, 0, 0) + b"8BIMnorm" + bytes([255, 0, 0, 0]) + struct.pack(">I", len(extra))
    layers = struct.pack(">h", num_layers) + num_layers * (record + extra)
    layers += bytes(len(layers) % 2)
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 4, 4, 8, 3) + struct.pack(">II", 0, 0)
    sections = struct.pack(">II", len(layers) + 8, len(layers)) + layers + struct.pack(">I", 0)
    return head + sections + struct.pack(">H", 0) + b"".join(bytes([value]) * 16 for value in colour)


def test_read_photo_photoshop_file_with_layers_is_one_picture(tmp_path: Path) -> None:
    (tmp_path / "edited.psd").write_bytes(psd((200, 30, 40), num_layers=3))
    with Image.open(tmp_path / "edited.psd") as image:
        assert getattr(image, "n_frames", 0) == 3
    photo = read_photo(tmp_path / "edited.psd")
    assert photo.image.getpixel((1, 1)) == (200, 30, 40)
    assert photo.notes == ()


def test_read_photo_large_jpeg_keeps_its_full_size_in_mind(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (5000, 4000), "white")
    image.paste("red", (0, 0, 2500, 2000))
    image.save(tmp_path / "large.jpg", exif=exif)
    photo = read_photo(tmp_path / "large.jpg")
    assert photo.size == (4000, 5000)
    assert photo.image.size == (round(WORKING_SIDE * 0.8), WORKING_SIDE)
    assert photo.image.getpixel((1200, 500)) == pytest.approx((255, 0, 0), abs=4)  # its left half is on top, turned
    assert photo.image.getpixel((400, 500)) == pytest.approx((255, 255, 255), abs=4)
    assert photo.notes == ("made smaller, from 5000 x 4000", "turned upright (EXIF orientation 6)")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_read_photo_large_webp_is_what_the_same_png_is(tmp_path: Path, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    values = np.random.default_rng(0).integers(0, 256, (40, 2560, len(mode)), dtype=np.uint8)
    for name in ("a.png", "a.webp"):
        Image.fromarray(values).save(
            tmp_path / name, exif=exif, icc_profile=b"none", lossless=True, exact=True, method=0
        )
    png, webp = read_photo(tmp_path / "a.png"), read_photo(tmp_path / "a.webp")
    assert webp.size == (2560, 40)
    assert webp.notes == png.notes
    assert np.array_equal(np.asarray(webp.image), np.asarray(png.image))
    content = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a\.webp is (damaged or cut off|no image that can be read)"):
        read_photo(tmp_path / "a.webp")


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_read_photo_of_48_megapixels_stays_below_500_megabytes(tmp_path: Path, file_format: str) -> None:
    tile = np.asarray(noise(256)) // 8 + 100
    Image.fromarray(np.tile(tile, (24, 32, 1))[:5952, :8064]).save(tmp_path / "photo", format=file_format, method=0)
    program = (
        "import sys; from pathlib import Path; from models.data.photo_files import read_photo\n"
        "read_photo(Path(sys.argv[1]))\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "photo")]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=300)
    assert int(done.stdout) < 500_000  # kB, the peak since the program began


def test_read_photo_heic_is_read_or_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64))
    words = "is damaged or cut off" if HAS_HEIF else "is HEIC, which needs the package pillow-heif: pip install"
    with pytest.raises(ValueError, match=r"photo\.heic " + words):
        read_photo(path)


@pytest.mark.skipif(not HAS_HEIF, reason="pip install pillow-heif")
def test_read_photo_heic_of_a_phone_is_upright(tmp_path: Path) -> None:
    import pillow_heif

    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (64, 32), "white")
    image.paste("red", (0, 0, 32, 32))
    pillow_heif.from_pillow(image).save(tmp_path / "photo.heic", exif=exif.tobytes())
    photo = read_photo(tmp_path / "photo.heic")
    assert photo.size == photo.image.size == (32, 64)
    assert photo.image.getpixel((16, 8)) == pytest.approx((255, 0, 0), abs=12)


@pytest.mark.skipif(not HAS_HEIF, reason="pip install pillow-heif")
def test_read_photo_heic_follows_its_code_points(tmp_path: Path) -> None:
    import pillow_heif

    image, path = Image.new("RGB", (64, 64), (60, 160, 60)), tmp_path / "photo.heic"
    pillow_heif.from_pillow(image).save(path, quality=95, color_primaries=12, transfer_characteristics=13)
    photo = read_photo(path)
    assert photo.image.getpixel((4, 4)) == pytest.approx((0, 163, 40), abs=6)
    assert photo.notes == ("colours converted to sRGB from Display P3",)
