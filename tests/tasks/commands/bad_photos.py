"""Photos as people drop them onto a page, the bad ones among them."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def ball(path: Path, *, colour: tuple[int, int, int] = (200, 40, 40), x: int = 30, radius: int = 12) -> Path:
    """Save a ball before a white wall, 60 x 40 pixels."""
    rows, columns = np.mgrid[:40, :60]
    pixels = np.full((40, 60, 3), 255, dtype=np.uint8)
    pixels[(columns - x) ** 2 + (rows - 20) ** 2 < radius**2] = colour
    Image.fromarray(pixels).save(path)
    return path


def before_leaves(path: Path) -> Path:
    """Save a red ball before green leaves, 60 x 40 pixels: no background that is plain."""
    rows, columns = np.mgrid[:40, :60]
    pixels = np.random.default_rng(0).integers(0, 90, (40, 60, 3), dtype=np.uint8)
    pixels[..., 1] += 120
    pixels[(columns - 30) ** 2 + (rows - 20) ** 2 < 12**2] = (220, 30, 30)
    Image.fromarray(pixels).save(path)
    return path


def text_file(path: Path) -> Path:
    path.write_text("a letter and not a photo")
    return path


def picture_of_100_megapixels(path: Path) -> Path:
    Image.new("L", (10_000, 10_000), 255).save(path)
    return path


def picture_bomb(path: Path) -> Path:
    """A PNG of a few hundred bytes that claims 65,000 x 65,000 pixels, 12 GB as RGB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 65_000, 65_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))))
    return path


def empty_wall(path: Path) -> Path:
    """A photo with no object in it."""
    Image.new("RGB", (60, 40), "white").save(path)
    return path


def truncated(path: Path) -> Path:
    ball(path.with_name("whole.png"))
    content = path.with_name("whole.png").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def animation(path: Path) -> Path:
    """A GIF of three pictures of a ball that moves."""
    frames = [Image.open(ball(path.with_name(f"frame{x}.png"), x=x)) for x in (25, 30, 35)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path
