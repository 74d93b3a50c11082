"""What a file is that is no photo to be read, by its first bytes: the sentence that names it and its remedy."""

AGAIN = "copy or download it again"
DAMAGED = f"is damaged or cut off: it begins as an image, but cannot be decoded; {AGAIN}"
RAW = "is a raw photo; develop it to JPEG, PNG or TIFF"
RAW_SUFFIXES = (
    ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".rwl", ".pef",
    ".srw", ".3fr", ".fff", ".iiq", ".erf", ".kdc", ".dcr", ".mef", ".mos", ".mrw", ".x3f",
)  # fmt: skip
"""Most of them are TIFF inside, and would be read as their thumbnail."""
CANON_BRAND = b"crx "
"""Brand of Canon's raw photos (CR3), which are ISO media files."""
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
OTHERS = {
    DAMAGED: (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM"),
    "is TIFF of a kind that is not read (such as floats in colour, or 16 bits of grey with alpha), or cut off; save it "
    "with 8 bits, or as PNG": (
        b"II*\x00",
        b"MM\x00*",
        b"II+\x00",
        b"MM\x00+",
    ),
    "is JPEG XL, which is not read; save it as JPEG or PNG": (b"\xff\x0a", b"\x00\x00\x00\x0cJXL "),
    "is a git-LFS pointer and not the image itself; fetch it with git lfs pull": (b"version https://git-lfs",),
    "is a web page and not an image; download the image itself": (b"<!doctype html", b"<html"),
    "is a drawing (SVG or PDF) and not a photo; export it as PNG": (b"<svg", b"<!doctype svg", b"%pdf"),
    "is a text (XML), such as a drawing in SVG or what a phone or an editor notes beside a photo; give the photo "
    "itself, or export the drawing as PNG": (b"<?xml", b"<?xpacket", b"<x:xmpmeta"),
    "is what macOS notes beside a file of the same name without ._, and not the image; give that file": (
        b"\x00\x05\x16\x07",
    ),
    "is a picture of a high dynamic range (OpenEXR or Radiance), which is not read; save it as PNG or TIFF": (
        b"\x76\x2f\x31\x01",
        b"#?radiance",
        b"#?rgbe",
    ),
    "is an archive (ZIP or gzip) and not an image; unpack it first": (b"PK\x03\x04", b"\x1f\x8b"),
}
"""What files are that Pillow does not know, by their first bytes, letters in lower case."""
VIDEO = "is a video and not a photo; save one picture of it as JPEG or PNG"
VIDEOS = (b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba")
"""First bytes of Matroska and WebM, and of MPEG; others are ISO media files or AVI."""


def what_it_is(start: bytes) -> str:
    """Return the rest of a sentence that begins with the name of a file that is no image that can be read.

    Args:
        start: Its first bytes, 64 or more.
    """
    if not start:
        return f"is empty (0 bytes); {AGAIN}"
    brand, riff = _brand(start), start[8:12] if start.startswith(b"RIFF") else b""
    if brand == CANON_BRAND:
        return RAW
    if brand in (*HEIF_BRANDS, *AVIF_BRANDS) or riff == b"WEBP" or start[4:] == b"ftyp":
        return DAMAGED
    if brand or riff == b"AVI " or start.startswith(VIDEOS):
        return VIDEO
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next(
        (said for said, starts in OTHERS.items() if start.startswith(starts) or text.startswith(starts)),
        "is no image that can be read; JPEG, PNG, WebP, TIFF, AVIF and others are",
    )


def is_heif(start: bytes) -> bool:
    """Whether a file with these first bytes is HEIC; AVIF may have a brand of both in front and its own behind it."""
    return _brand(start) in HEIF_BRANDS and not _other_brands(start) & set(AVIF_BRANDS)


def _brand(start: bytes) -> bytes:
    """Major brand of an ISO media file (ISO/IEC 14496-12, 4.3); empty for another file."""
    return start[8:12] if start[4:8] == b"ftyp" else b""


def _other_brands(start: bytes) -> set[bytes]:
    """Compatible brands of an ISO media file, those in its first bytes."""
    end = min(int.from_bytes(start[:4], "big"), len(start))
    return {start[first : first + 4] for first in range(16, end - 3, 4)}
