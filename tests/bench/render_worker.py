"""Renders some objects in one process and says what it cost: `python -m tests.bench.render_worker JOB.json`."""

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.params import load_params
from render.cameras import Camera
from render.config import RenderConfig
from render.device import Machine
from render.images import Rgba, encode_png
from render.placement import normalize_bounds
from render.views import target_cameras
from tests.bench.render_methods import Method, method

PARAMS = Path(__file__).parents[2] / "params.yaml"
MACHINE = Machine(threads=2)
FAR = 0.5 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 1e6
"""An outline that takes the whole picture."""


@dataclass
class Job:
    """What the process is to do."""

    method: str
    paths: list[str]
    side: int
    views: int
    out: str


@dataclass(frozen=True)
class Cost:
    """Of one object, in CPU seconds of all threads unless it says otherwise."""

    object: str
    setup: float
    """Reading the file and building the scene."""
    views: float
    views_wall: float
    fixed: float
    """What the same views cost beyond tracing and denoising: taken at 16 pixels and 1 sample."""
    save: float
    """Writing them as PNG."""


def main() -> None:
    start = time.process_time()
    import bpy  # noqa: F401 - its cost is part of a process's

    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    imported = time.process_time() - start
    rows = [asdict(_measure(Path(path), method(job.method), job)) for path in job.paths]
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    (Path(job.out) / "costs.json").write_text(json.dumps({"import": imported, "peak_gb": peak_gb, "objects": rows}))


def _measure(path: Path, chosen: Method, job: Job) -> Cost:
    """Render the views of one object and return what they cost; the images go to a file."""
    import bpy

    from render.blender import objects, views
    from render.stdout import captured_stdout

    params = load_params(PARAMS)
    config = params.render.model_copy(update={"resolution": job.side, "quality": chosen.quality, "passes": ()})
    report = objects.inspect(path)  # not counted: stage normalize does it once for everybody
    placement = normalize_bounds(report.minimum, report.maximum, params.normalize.longest_side)
    start = time.process_time()
    with captured_stdout():
        ready = views.prepare(path, placement, config, Path(job.out), uid=path.stem, seed=0, machine=MACHINE)
    if chosen.is_script:
        bpy.context.scene.render.use_persistent_data = False
        ready = replace(ready, outline=FAR)
    for name, value in chosen.cycles.items():
        setattr(bpy.context.scene.cycles, name, value)
    shown, began, wall = cameras(config, job.views), time.process_time(), time.perf_counter()
    images = _render_all(shown, ready)
    taken, taken_wall = time.process_time(), time.perf_counter()
    encoded = [encode_png(image) for image in images]
    saved = time.process_time()
    bpy.context.scene.render.resolution_x = bpy.context.scene.render.resolution_y = 16
    bpy.context.scene.cycles.samples, bpy.context.scene.cycles.use_denoising = 1, False
    tiny = replace(ready, config=config.model_copy(update={"resolution": 16}))
    _render_all(shown[:1], tiny)
    small = time.process_time()
    _render_all(shown, tiny)
    fixed = time.process_time() - small
    np.save(Path(job.out) / f"{path.stem}.npy", np.stack(images))
    assert len(encoded) == len(images)
    return Cost(path.stem, began - start, taken - began, taken_wall - wall, fixed, saved - taken)


def _render_all(shown: Sequence[Camera], ready: Any) -> list[Rgba]:
    from render.blender.views import render_rgba
    from render.stdout import captured_stdout

    images = []
    for camera in shown:
        with captured_stdout():
            images.append(render_rgba(camera, ready))
    return images


def cameras(config: RenderConfig, views: int) -> list[Camera]:
    """`views` of the targets, spread over azimuths and elevations."""
    targets = target_cameras(config)
    return [targets[(index * 13 + 9) % len(targets)] for index in range(views)]


if __name__ == "__main__":
    main()
