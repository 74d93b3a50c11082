"""Generates views of one object from photos with a saved model, and a contact sheet, a turntable and a mesh."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.config import ReconstructConfig
from models.inference.pipeline import load_pipeline
from models.reconstruction.mesh import write_ply
from models.reconstruction.surface import reconstruct_views
from models.reconstruction.views import Views
from render.cameras import Camera
from render.images import Rgba, contact_sheet, encode_png, over_background
from render.views import ViewKind
from tasks.artifacts.atomic import atomic_file, atomic_folder, write_bytes
from tasks.artifacts.views import as_cameras
from tasks.commands.export import TRANSFORMS, transforms
from tasks.commands.sample_options import SampleOptions

SHEET, TURNTABLE, MESH = "sheet.png", "turntable.gif", "mesh.ply"
FRAME_MS = 200
"""Milliseconds that the turntable shows a view."""
TURNTABLE_ELEVATION_DEG = 15.0
"""The turntable shows the row of views nearest to it."""


def sample_photos(options: SampleOptions, device: str) -> list[Path]:
    """Write views, transforms.json, a contact sheet, a turntable and, if the views enclose anything, a mesh.

    Returns the files. The folder appears whole or not at all. Raises ValueError when it is there already, when
    `options.model` holds no pipeline, or when a photo or mask cannot be used.
    """
    out, model = options.out, options.model
    if out.exists():
        raise ValueError(f"{out} exists; name another folder with --out, or delete it")
    if not (model / "model_index.json").exists():
        raise ValueError(
            f"{model} has no model_index.json: name the folder of a saved pipeline, e.g. models_out/stage3"
        )
    photos, masks = ([_open(path) for path in paths or []] for paths in (options.photos, options.mask))
    cameras, images = _sample(options, photos, masks, device)
    with atomic_folder(out) as part:
        for camera, image in zip(cameras, images, strict=True):
            write_bytes(part / f"{camera.name}.png", encode_png(image))
        write_bytes(part / TRANSFORMS, json.dumps(transforms(cameras, len(images[0])), indent=1).encode())
        columns = len({camera.azimuth_deg for camera in cameras})
        sheet = contact_sheet(images, columns, labels=[_label(camera) for camera in cameras])
        write_bytes(part / SHEET, encode_png(sheet))
        _write_turntable(part / TURNTABLE, cameras, images)
        _write_mesh(part / MESH, cameras, images, options, device)
    return sorted(out.iterdir())


def _sample(
    options: SampleOptions, photos: Sequence[Image.Image], masks: Sequence[Image.Image], device: str
) -> tuple[list[Camera], list[Rgba]]:
    pipeline = load_pipeline(options.model, scheduler=options.scheduler, device=device)
    pipeline.set_progress_bar_config(disable=False, desc="views")
    pipeline.unet.set_attention_chunk(options.attention_chunk)
    sampled = pipeline(
        list(photos),
        masks=list(masks) or None,
        align_to=options.align_to,
        fov_deg=options.fov,
        object_share=None if options.as_is else options.share,
        num_inference_steps=options.steps,
        guidance_scale=options.guidance,
        generator=torch.Generator().manual_seed(options.seed),
        elevations_deg=tuple(options.elevation) if options.elevation else None,
        output_type="np",
    )
    cameras = [
        Camera(ViewKind.TARGET.view_name(target), at.azimuth_deg, at.elevation_deg, at.distance, at.fov_deg)
        for target, at in zip(sampled.target_ids, sampled.cameras, strict=True)
    ]
    return cameras, sampled.images


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except OSError as error:
        raise ValueError(f"{path} is no image that can be read: {error}") from error


def _label(camera: Camera) -> str:
    return f"{camera.name} {camera.azimuth_deg:g}/{camera.elevation_deg:g}"


def _write_turntable(path: Path, cameras: Sequence[Camera], images: Sequence[Rgba]) -> None:
    """Write a GIF of the views of one row, one after the other, on white."""
    nearest = min((camera.elevation_deg for camera in cameras), key=lambda row: abs(row - TURNTABLE_ELEVATION_DEG))
    turning = [pair for pair in zip(cameras, images, strict=True) if pair[0].elevation_deg == nearest]
    turning.sort(key=lambda pair: pair[0].azimuth_deg)
    frames = [Image.fromarray(over_background(image, np.full(3, 255.0))) for _, image in turning]
    with atomic_file(path) as part:
        frames[0].save(part, format="GIF", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0)


def _write_mesh(
    path: Path, cameras: Sequence[Camera], images: Sequence[Rgba], options: SampleOptions, device: str
) -> None:
    config = ReconstructConfig(
        recipe=1, method="hull", resolution=options.mesh_resolution, iterations=0, vote=options.mesh_vote
    )
    posed = as_cameras(cameras, len(images[0]))
    rgba = np.stack(images).astype(np.float32) / 255
    mesh = reconstruct_views(Views(rgba, posed.world_from_camera, posed.fov_deg), config, options.seed, device)
    if mesh is not None:
        with atomic_file(path) as part:
            write_ply(mesh, part)
