"""Sealed view sets of given images, without the rest of a run."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from render.cameras import Camera
from render.passes import View
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.shards import lay_out, read_item
from tasks.artifacts.views import Image, seal_views, write_views
from tasks.config import DownloadConfig
from tasks.outcome import Done

CONFIG = DownloadConfig(max_mb=1, max_failed_share=0)
"""Any section: nobody reads it."""


def seal_images(folder: Path, objects: Mapping[str, Sequence[tuple[Camera, Image]]], group: str = "scan") -> Path:
    """Seal `folder/views` with the views of some objects, and return it."""
    for uid, views in objects.items():
        cameras, images = zip(*views, strict=True)
        write_views(folder / "items" / f"{uid}.tar", cameras, [View(image) for image in images], {})
    items = {uid: partial(read_item, folder / "items" / f"{uid}.tar") for uid in objects}
    out = folder / "views"
    seal_views(items, lay_out(items, 100), out)
    seal(out, Kind.VIEWS, config=CONFIG, inputs={}, outcomes=[Done(uid, {"group": group}) for uid in objects])
    return out
