"""Renders some objects in one process and says what it cost: `python -m tests.bench.render_worker JOB.json`."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.params import load_params
from render.cameras import Camera
from render.config import RenderConfig
from render.placement import place
from render.views import target_cameras
from tests.bench.render_methods import Method, method

PARAMS = Path(__file__).parents[2] / "params.yaml"
THREADS = 1
"""As a worker on a full machine; CPU seconds hardly depend on it."""


@dataclass
class Job:
    """What the process is to do."""

    method: str
    paths: list[str]
    side: int
    views: int
    out: str


def main() -> None:
    start = time.process_time()
    import bpy  # noqa: F401 - its cost is part of a process's

    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    imported = time.process_time() - start
    rows = [_render(Path(path), method(job.method), job) for path in job.paths]
    (Path(job.out) / "costs.json").write_text(json.dumps({"import": imported, "objects": rows}))


def _render(path: Path, chosen: Method, job: Job) -> dict[str, float | str]:
    """CPU seconds of one object: reading it, and its views; the images go to a file."""
    from render import blender
    from render.chatter import captured_stdout

    params = load_params(PARAMS)
    config = params.render.model_copy(
        update={"resolution": job.side, "samples": chosen.samples, "denoise": chosen.denoise}
    )
    report = blender.inspect(path)  # not counted: stage normalize does it once for everybody
    placement = place(report.minimum, report.maximum, params.normalize.longest_side)
    picture = Path(job.out) / "view.png"
    start = time.process_time()
    with captured_stdout():
        ticket = blender.prepare(path, placement, config, picture, uid=path.stem, seed=0, threads=THREADS)
        _adjust(chosen)
    ready = time.process_time()
    images = []
    for camera in cameras(config, job.views):
        with captured_stdout():
            images.append(blender.shoot(camera, picture, ticket))
    done = time.process_time()
    np.save(Path(job.out) / f"{path.stem}.npy", np.stack(images))
    return {"object": path.stem, "setup": ready - start, "views": done - ready}


def cameras(config: RenderConfig, views: int) -> list[Camera]:
    """`views` of the targets, spread over azimuths and elevations."""
    targets = target_cameras(config)
    return [targets[(index * 13 + 9) % len(targets)] for index in range(views)]


def _adjust(chosen: Method) -> None:
    import bpy

    scene = bpy.context.scene
    scene.render.use_persistent_data = chosen.persistent_data
    for name, value in chosen.cycles.items():
        setattr(scene.cycles, name, value)


if __name__ == "__main__":
    main()
