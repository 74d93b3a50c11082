"""Renders the target views of mesh files for the benchmark: `python -m tests.bench.reconstruct_worker JOB.json`.

A process of its own, because Blender and torch in one process cost more memory than either.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.params import load_params
from render.axes import UpAxis
from render.device import Machine
from render.placement import normalize_bounds
from render.views import target_cameras
from tasks.artifacts.views import as_cameras

PARAMS = Path(__file__).parents[2] / "params.yaml"


@dataclass
class Job:
    """What the process is to do."""

    paths: dict[str, str]
    """Name of each object and its file."""
    up_axis: UpAxis | None
    side: int
    quality: str
    out: str


def main() -> None:
    """Write `<name>.npz` for each object: rgba, normals, cameras, and the true mesh in the cameras' frame."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    for name, path in job.paths.items():
        _render(name, Path(path), job)


def _render(name: str, path: Path, job: Job) -> None:
    from render.blender.objects import inspect, triangles
    from render.blender.views import render_views

    params = load_params(PARAMS)
    fields = params.render.model_dump() | {"resolution": job.side, "quality": job.quality, "passes": ("normal",)}
    config = type(params.render).model_validate(fields)
    report = inspect(path, job.up_axis)
    placement = normalize_bounds(report.minimum, report.maximum, params.normalize.longest_side, job.up_axis)
    cameras = target_cameras(config)
    taken = list(render_views(path, placement, cameras, config, uid=name, seed=0, machine=Machine(threads=1)))
    vertices, faces = triangles(path, placement)
    poses = as_cameras(cameras, job.side)
    part = Path(job.out) / f"{name}.part.npz"
    np.savez_compressed(
        part,
        rgba=np.stack([view.rgba for view in taken]),
        normal=np.stack([view.normal for view in taken if view.normal is not None]).astype(np.float16),
        world_from_camera=poses.world_from_camera,
        fov_deg=poses.fov_deg,
        vertices=vertices,
        faces=faces,
    )
    part.rename(Path(job.out) / f"{name}.npz")


if __name__ == "__main__":
    main()
