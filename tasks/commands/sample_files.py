"""The folder of one sampled object: views with their cameras, contact sheet, turntables, cut-outs and meshes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.config import Effort, ReconstructConfig
from models.data.images import crop_to_object
from models.reconstruction.mesh import write_ply
from models.reconstruction.surface import reconstruct_views
from models.reconstruction.texture import textured, write_glb
from models.reconstruction.views import Views
from render.cameras import Camera
from render.images import contact_sheet, encode_png
from render.views import ViewKind
from tasks.artifacts.atomic import atomic_folder, write_bytes
from tasks.artifacts.views import as_cameras
from tasks.commands.export.nerf import TRANSFORMS, transforms
from tasks.commands.sampler import SampledViews
from tasks.commands.turntables import write_turntables

SHEET, MESH, TEXTURED_MESH, CUT_OUTS = "sheet.png", "mesh.ply", "mesh.glb", "cutouts"


@dataclass(frozen=True)
class MeshSettings:
    """How a mesh is made of views; `tasks.commands.sample_options` says what they mean."""

    resolution: int = 96
    vote: float | None = None
    seed: int = 0
    device: str = "cpu"


def write_sample(
    out: Path, cut_outs: Sequence[Image.Image], sampled: SampledViews, share: float | None, mesh: MeshSettings | None
) -> None:
    """Write everything about one object into the new folder `out`, which appears whole or not at all.

    The mesh is written where the views enclose anything: as PLY with vertex colours and as GLB with a texture.

    Args:
        out: The folder.
        cut_outs: The cut-out photos, RGBA.
        sampled: What was made of them.
        share: Share of the image's side that the object was made to take; None: the photos were framed already.
        mesh: How the mesh is made; None: there is none to be.
    """
    cameras, images = sampled.cameras, sampled.images
    with atomic_folder(out) as part:
        for index, cut_out in enumerate(cut_outs):
            framed = cut_out if share is None else crop_to_object(cut_out, share)
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
        if mesh is not None:
            _write_meshes(part, sampled, mesh)


def _label(camera: Camera) -> str:
    return f"{camera.name} {camera.azimuth_deg:g}/{camera.elevation_deg:g}"


def _write_meshes(folder: Path, sampled: SampledViews, settings: MeshSettings) -> None:
    effort = Effort(resolution=settings.resolution, iterations=0, batch=1)
    config = ReconstructConfig(recipe=1, method="hull", quality=effort, vote=settings.vote or "auto")
    posed = as_cameras(sampled.cameras, len(sampled.images[0]))
    rgba = np.stack(sampled.images).astype(np.float32) / 255
    views = Views(rgba, posed.world_from_camera, posed.fov_deg)
    mesh = reconstruct_views(views, config, settings.seed, settings.device)
    if mesh is not None:
        write_ply(mesh, folder / MESH)
        write_glb(textured(mesh, views), folder / TEXTURED_MESH)
