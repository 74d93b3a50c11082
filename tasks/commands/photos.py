"""Generates views of one object from photos with a saved model, and a contact sheet, turntables and meshes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.config import AttentionKernel, Effort, Precision, ReconstructConfig
from models.data.images import crop_to_object
from models.inference.pipeline import load_pipeline
from models.inference.precision import DTYPES, tensor_float32
from models.network.attention_kernels import load_kernel
from models.reconstruction.mesh import write_ply
from models.reconstruction.surface import reconstruct_views
from models.reconstruction.texture import textured, write_glb
from models.reconstruction.views import Views
from render.cameras import Camera
from render.images import Rgba, contact_sheet, encode_png
from render.views import ViewKind
from tasks.artifacts.atomic import atomic_folder, write_bytes
from tasks.artifacts.views import as_cameras
from tasks.commands.cut_outs import cut_out_photos
from tasks.commands.export.nerf import TRANSFORMS, transforms
from tasks.commands.sample_options import SampleOptions
from tasks.commands.turntables import write_turntables

SHEET, MESH, TEXTURED_MESH, CUT_OUTS = "sheet.png", "mesh.ply", "mesh.glb", "cutouts"


@dataclass(frozen=True)
class Compute:
    """How the networks compute."""

    device: str
    """torch device."""
    precision: Precision
    attention_kernel: AttentionKernel = "auto"


def sample_photos(options: SampleOptions, compute: Compute, say: Callable[[str], None]) -> list[Path]:
    """Write views, transforms.json, a contact sheet, turntables, what was cut out and, if there is one, a mesh.

    The mesh is written where the views enclose anything: as PLY with vertex colours and as GLB with a texture. Every
    photo is read and cut out before the model is loaded; `say` is told a line about each.

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
    cut_outs = cut_out_photos(options)
    for cut_out in cut_outs:
        say(cut_out.story)
    with tensor_float32(compute.device, compute.precision):
        cameras, images = _sample(options, [cut_out.image for cut_out in cut_outs], compute)
    with atomic_folder(out) as part:
        for index, cut_out in enumerate(cut_outs):
            framed = cut_out.image if options.as_is else crop_to_object(cut_out.image, options.share)
            write_bytes(part / CUT_OUTS / f"{ViewKind.CONDITION.view_name(index)}.png", encode_png(np.array(framed)))
        for camera, image in zip(cameras, images, strict=True):
            write_bytes(part / f"{camera.name}.png", encode_png(image))
        write_bytes(
            part / TRANSFORMS, json.dumps(transforms(cameras, [len(image) for image in images]), indent=1).encode()
        )
        columns = len({camera.azimuth_deg for camera in cameras})
        sheet = contact_sheet(images, columns, labels=[_label(camera) for camera in cameras])
        write_bytes(part / SHEET, encode_png(sheet))
        write_turntables(part, cameras, images)
        _write_meshes(part, cameras, images, options, compute.device)
    return sorted(path for path in out.rglob("*") if path.is_file())


def _sample(
    options: SampleOptions, cut_outs: Sequence[Image.Image], compute: Compute
) -> tuple[list[Camera], list[Rgba]]:
    dtype = DTYPES[compute.precision]
    pipeline = load_pipeline(options.model, scheduler=options.scheduler, device=compute.device, dtype=dtype)
    pipeline.set_progress_bar_config(disable=False, desc="views")
    if options.attention_chunk is None:
        pipeline.unet.set_attention_kernel(load_kernel(compute.attention_kernel, compute.device, compute.precision))
    else:
        pipeline.unet.set_attention_chunk(options.attention_chunk)
    sampled = pipeline(
        list(cut_outs),
        align_to=options.align_to,
        fov_deg=options.fov,
        object_share=None if options.as_is else options.share,
        num_inference_steps=options.steps,
        guidance_scale=options.guidance,
        generator=torch.Generator().manual_seed(options.seed),
        elevations_deg=tuple(options.elevation) if options.elevation else None,
    )
    cameras = [
        Camera(ViewKind.TARGET.view_name(target), at.azimuth_deg, at.elevation_deg, at.distance, at.fov_deg)
        for target, at in zip(sampled.target_ids, sampled.cameras, strict=True)
    ]
    return cameras, [np.array(image) for image in sampled.images]


def _label(camera: Camera) -> str:
    return f"{camera.name} {camera.azimuth_deg:g}/{camera.elevation_deg:g}"


def _write_meshes(
    folder: Path, cameras: Sequence[Camera], images: Sequence[Rgba], options: SampleOptions, device: str
) -> None:
    effort = Effort(resolution=options.mesh_resolution, iterations=0, batch=1)
    config = ReconstructConfig(recipe=1, method="hull", quality=effort, vote=options.mesh_vote or "auto")
    posed = as_cameras(cameras, len(images[0]))
    rgba = np.stack(images).astype(np.float32) / 255
    views = Views(rgba, posed.world_from_camera, posed.fov_deg)
    mesh = reconstruct_views(views, config, options.seed, device)
    if mesh is not None:
        write_ply(mesh, folder / MESH)
        write_glb(textured(mesh, views), folder / TEXTURED_MESH)
