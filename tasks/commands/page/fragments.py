"""The pieces of HTML that the page shows: cut-outs with what was found, progress, and the views that turn."""

import base64
from collections.abc import Sequence
from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader
from PIL import Image

from render.cameras import Camera
from render.images import Rgba, encode_png
from tasks.commands.page.drawing import Progress
from tasks.commands.sampler import SampledViews
from tasks.commands.turntables import ELEVATION_DEG
from tasks.commands.uploads import Photos
from tasks.report.templating import escaping_environment

THUMBNAIL_PX = 240


def shown_photos(photos: Photos) -> str:
    """Return what was found in the photos: each cut-out with its story, and a sentence for each that cannot be used."""
    shown = [(_thumbnail(cut.image), cut) for cut in photos.cut_outs]
    return _fill("cut_outs.html.jinja", shown=shown, faults=photos.faults, notes=photos.notes)


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
    """Return the address of a small copy of an RGBA image, which holds the file itself."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return _png_address(np.array(small))


def _png_address(image: Rgba) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()


def _fill(name: str, **values: object) -> str:
    return _templates().get_template(name).render(**values)


@cache
def _templates() -> Environment:
    return escaping_environment(PackageLoader("tasks.commands.page"))
