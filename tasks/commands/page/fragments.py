"""The pieces of HTML that the page shows: cut-outs with what was found, progress, and the views that turn."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader
from PIL import Image

from models.data.grabcut import Box
from models.data.photo_files import read_photo
from render.cameras import Camera
from render.images import Rgba, encode_png
from tasks.commands.cut_outs import CutOut
from tasks.commands.page.drawing import Progress
from tasks.commands.sampler import SampledViews
from tasks.commands.turntables import ELEVATION_DEG
from tasks.commands.uploads import MB, Photos, Upload, UploadLimits
from tasks.report.templating import escaping_environment

THUMBNAIL_PX = 240


@dataclass(frozen=True)
class ShownPhoto:
    """A photo on the page, on which a box can be drawn."""

    name: str
    size: tuple[int, int]
    """Width and height in pixels of the upright photo."""
    photo: str
    """Address of a small copy of the photo."""
    cut_out: CutOut | None
    """None: the object was not found."""
    box: Box | None

    @property
    def cut_address(self) -> str:
        """Address of a small copy of the cut-out."""
        assert self.cut_out is not None, "there is none"
        return _thumbnail(self.cut_out.image)

    @property
    def box_style(self) -> str:
        """Where the box lies on the photo, as CSS."""
        assert self.box is not None, "there is none"
        (width, height), (left, top, right, bottom) = self.size, self.box
        shares = (left / width, top / height, (right - left) / width, (bottom - top) / height)
        names = ("left", "top", "width", "height")
        return ";".join(f"{name}:{share:.2%}" for name, share in zip(names, shares, strict=True))


def shown_photos(photos: Photos, uploads: Sequence[Upload], limits: UploadLimits) -> str:
    """Return what was found in the photos: each with its cut-out and story, and a sentence for each fault.

    Args:
        photos: What was found.
        uploads: The photos; those without a cut-out are shown too where they can be read, so that a box can be drawn.
        limits: What is read of a photo.
    """
    cuts = {cut.name: cut for cut in photos.cut_outs}
    asked = [upload for upload in uploads if upload.name in cuts or upload.name in photos.unusable]
    shown = [one for upload in asked if (one := _shown_photo(upload, cuts.get(upload.name), limits)) is not None]
    return _fill("cut_outs.html.jinja", shown=shown, faults=photos.faults, notes=photos.notes)


def _shown_photo(upload: Upload, cut: CutOut | None, limits: UploadLimits) -> ShownPhoto | None:
    if cut is not None:
        return ShownPhoto(upload.name, cut.size, _thumbnail(cut.image.convert("RGB")), cut, upload.box)
    if upload.path.stat().st_size > limits.megabytes * MB:
        return None
    try:
        photo = read_photo(upload.path, max_megapixels=limits.megapixels)
    except ValueError:
        return None  # the faults say why
    return ShownPhoto(upload.name, photo.size, _thumbnail(photo.image.convert("RGB")), None, upload.box)


def shown_progress(progress: Progress) -> str:
    """Return how far the sampling is, with the views as they are now."""
    previews = [_png_address(image) for image in progress.preview]
    return _fill("progress.html.jinja", words=progress.words, percent=round(100 * progress.share), previews=previews)


def shown_fault(sentence: str) -> str:
    """Return a sentence about what went wrong, one for each line."""
    return _fill("fault.html.jinja", sentences=sentence.splitlines())


def shown_note(sentence: str) -> str:
    """Return a sentence about what a visitor may wonder at."""
    return _fill("note.html.jinja", sentence=sentence)


def shown_views(sampled: SampledViews) -> str:
    """Return the views, which turn when they are dragged, or by two sliders.

    It needs `templates/turntable.js` on the page.
    """
    rows = sorted({camera.elevation_deg for camera in sampled.cameras})
    at = {(camera.elevation_deg, camera.azimuth_deg): image for camera, image in _pairs(sampled)}
    azimuths = sorted({camera.azimuth_deg for camera in sampled.cameras})
    views = [
        {"row": row, "column": column, "elevation": elevation, "azimuth": azimuth, "address": _png_address(image)}
        for row, elevation in enumerate(rows)
        for column, azimuth in enumerate(azimuths)
        if (image := at.get((elevation, azimuth))) is not None
    ]
    first = min(range(len(rows)), key=lambda row: abs(rows[row] - ELEVATION_DEG))
    return _fill("views.html.jinja", views=views, rows=len(rows), columns=len(azimuths), first=first)


def shown_mesh(glb: bytes) -> str:
    """Return a mesh that turns when it is dragged, and a link to download it.

    It needs `templates/mesh.js` and three.js on the page. The file is in the fragment itself: nothing is fetched that
    may be deleted meanwhile.
    """
    return _fill("mesh.html.jinja", address="data:model/gltf-binary;base64," + base64.b64encode(glb).decode())


def _pairs(sampled: SampledViews) -> Sequence[tuple[Camera, Rgba]]:
    return list(zip(sampled.cameras, sampled.images, strict=True))


def _thumbnail(image: Image.Image) -> str:
    """Return the address of a small copy of an image, which holds the file itself."""
    small = image.convert("RGBA")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return _png_address(np.array(small))


def _png_address(image: Rgba) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()


def _fill(name: str, **values: object) -> str:
    return _templates().get_template(name).render(**values)


@cache
def _templates() -> Environment:
    return escaping_environment(PackageLoader("tasks.commands.page"))
