"""The model as a function of tables: a row per photo in, a row per generated view out, images as base64 text."""

import base64
import binascii
import io
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from models.data.photo_files import read_photo
from models.inference.pipeline import MVDiffusionPipeline

PHOTO, OBJECT = "photo", "object"
"""Columns of the input."""
ONLY_OBJECT = "object"
"""Name of the object of rows that name none."""
DATA_URL = "base64,"
MOST_HEAD = 200
"""Letters within which a data: URL says how it is encoded."""


@dataclass(frozen=True)
class DrawSettings:
    """How the views of a table are drawn; the defaults are those of `python -m flows sample`."""

    steps: int = 0
    """Denoising steps; 0: those that the model was made for, else the solver's usual number."""
    guidance: float = 1.0
    """Scale of classifier-free guidance; 1: none."""
    seed: int = 0
    """Seed of the initial noise, the same for each object."""
    object_share: float = 0.5
    """Share of the image's side that the object is made to take; 0: photos are square and framed already."""


def draw_table(
    pipeline: MVDiffusionPipeline, rows: Iterable[Mapping[str, Any]], settings: DrawSettings
) -> list[dict[str, Any]]:
    """Generate the views of every object in a table of photos.

    Args:
        pipeline: The model.
        rows: A photo each, under "photo", in base64: PNG, JPEG or any other format that photos are read in, with alpha
            or before a plain background; "object" names whose photo it is, and may be left out or None where all rows
            show one object. The azimuths of an object count from its first photo.
        settings: How to draw.

    Returns:
        A row per view, objects in the order of their first photos: "object"; "view", the id of the target;
        "azimuth_deg", "elevation_deg", "fov_deg" and "distance" of its camera; "image", an RGBA PNG in base64.

    Raises:
        ValueError: There is no row, or a row has no photo that can be used; the sentence names the row, from 0.
    """
    photos: dict[str, list[Image.Image]] = {}
    for index, row in enumerate(rows):
        name = row.get(OBJECT)
        photos.setdefault(ONLY_OBJECT if name is None else str(name), []).append(_photo(row.get(PHOTO), index))
    if not photos:
        raise ValueError(f"the table has no row; it needs one per photo, with the column {PHOTO!r}")
    return [view for name, images in photos.items() for view in _views(pipeline, name, images, settings)]


def _views(
    pipeline: MVDiffusionPipeline, name: str, images: Sequence[Image.Image], settings: DrawSettings
) -> list[dict[str, Any]]:
    try:
        drawn = pipeline(
            list(images),
            object_share=settings.object_share or None,
            num_inference_steps=settings.steps or None,
            guidance_scale=settings.guidance,
            generator=torch.Generator().manual_seed(settings.seed),
        )
    except ValueError as error:
        raise ValueError(f"object {name!r}: {error}") from error
    return [
        {
            OBJECT: name,
            "view": int(target),
            "azimuth_deg": float(camera.azimuth_deg),
            "elevation_deg": float(camera.elevation_deg),
            "fov_deg": float(camera.fov_deg),
            "distance": float(camera.distance),
            "image": encode_image(image),
        }
        for target, camera, image in zip(drawn.target_ids, drawn.cameras, drawn.images, strict=True)
    ]


def encode_image(image: Image.Image) -> str:
    """Return an image as PNG in base64."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _photo(text: Any, index: int) -> Image.Image:
    """Read the photo of a row as files of photos are read, with their limits and sentences."""
    if not isinstance(text, str) or not text:
        raise ValueError(f"row {index} has no photo: the column {PHOTO!r} is the file's bytes in base64")
    is_url = text[:5].lower() == "data:"
    if is_url and DATA_URL not in text[:MOST_HEAD]:
        raise ValueError(f"the photo of row {index} is a data: URL that is not in base64; encode the file in base64")
    letters = "".join((text.partition(DATA_URL)[2] if is_url else text).split())  # the command base64 breaks lines
    try:
        content = base64.b64decode(letters, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f"the photo of row {index} is no base64 ({error}); give the file's bytes in base64, not its path or address"
        ) from error
    with tempfile.NamedTemporaryFile(suffix=".image") as file:
        file.write(content)
        file.flush()
        try:
            return read_photo(Path(file.name)).image
        except ValueError as error:
            raise ValueError(str(error).replace(file.name, f"the photo of row {index}")) from error
