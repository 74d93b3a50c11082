"""CPU seconds of scoring: `python -m tests.bench.evaluate` (make bench-evaluate).

One object with 32 views and a mesh is scored in one case on one thread, part by part, and the sum is held against the
issue's size: 30 objects, 3 stages and 5 numbers of conditions on two cores. Reconstruction is not scoring.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from flows.params import load_params
from models.losses.st_lpips import build_st_lpips
from models.reconstruction.hull import visual_hull
from models.reconstruction.mesh import Mesh, extract_mesh
from models.reconstruction.silhouettes import Silhouettes
from render.cameras import Camera
from render.views import target_cameras
from tasks.artifacts.cases import Case
from tasks.artifacts.views import Image, ViewSet, target_views
from tasks.evaluation.consistency import score_consistency
from tasks.evaluation.mesh_scores import MeasuredMesh, score_mesh
from tasks.evaluation.view_scores import Perceptual, TrueViews, score_views
from tests.tasks.made_run import PARAMS, draw, shapes
from tests.tasks.small_view_sets import seal_images

OBJECTS, CASES, CORES = 30, 15, 2
CASE = Case("stage3", "sparse", 1)


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.evaluate", description=__doc__)
    parser.add_argument("--side", type=int, default=256, help="pixels of the views")
    parser.add_argument("--voxels", type=int, default=96, help="voxels along the side of the hull that is scored")
    parser.add_argument("--st-lpips", action="store_true", help="needs stlpips-pytorch")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    networks: dict[str, Perceptual] = {"st_lpips": build_st_lpips()} if arguments.st_lpips else {}
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(Path(folder), arguments.side, arguments.voxels, networks)
    minutes = total_minutes(seconds)
    table = Table(
        "part", "CPU s", title=f"one object in one case, {arguments.side} px, hull of {arguments.voxels} voxels"
    )
    for part, value in seconds.items():
        table.add_row(part, f"{value:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(f"{OBJECTS} objects in {CASES} cases on {CORES} cores: {minutes:.1f} min")
    if arguments.out:
        arguments.out.write_text(json.dumps({"seconds": seconds, "minutes": minutes}))


def total_minutes(seconds: dict[str, float]) -> float:
    """Parts of an object are paid once, the others in each case."""
    once = sum(value for part, value in seconds.items() if part.startswith("truth"))
    each = sum(seconds.values()) - once
    return OBJECTS * (once + CASES * each) / CORES / 60


@dataclass(frozen=True)
class Clock:
    """Keeps the CPU seconds of each part."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part."""
        start = time.process_time()
        yield
        self.seconds[name] = time.process_time() - start


def measure(folder: Path, side: int, voxels: int, networks: dict[str, Perceptual]) -> dict[str, float]:
    """CPU seconds of each part."""
    clock, config, uid = Clock(), load_params(PARAMS).evaluate, "torus"
    images = _images(side)
    first, noise = images[0][0], np.random.default_rng(0)
    given = (Camera("c00", first.azimuth_deg, first.elevation_deg, first.distance, first.fov_deg), images[0][1])
    true = ViewSet.open(seal_images(folder / "truth", {uid: [*images, given]}))
    spoilt = [(camera, np.maximum(image, noise.integers(0, 60, image.shape, np.uint8))) for camera, image in images]
    predicted = ViewSet.open(seal_images(folder / "predicted", {uid: spoilt}))
    posed = target_views(true, uid)
    mesh = extract_mesh(visual_hull(Silhouettes.of(posed), resolution=voxels, vote=1.0, extent=0.55), posed)
    with clock.part("truth, views"):
        truth = TrueViews.load(true, uid, CASE, "cpu")
    with clock.part("truth, mesh"):
        true_mesh = MeasuredMesh.of(_true_mesh(), uid, config, 0)
    with clock.part("views: PSNR, SSIM, mask IoU"):
        score_views(predicted, truth, uid, CASE, {})
    for name, network in networks.items():
        with clock.part(f"views: {name}"):
            for pair in zip(torch.split(truth.rgb, 4), torch.split(truth.rgb.flip(0), 4), strict=True):
                network(*pair)
    with clock.part("consistency"):
        score_consistency(predicted, uid, config.consistency_resolution or 48, 0)
    with clock.part("mesh: points, volume"):
        measured = MeasuredMesh.of(mesh, uid, config, 0)
    with clock.part("mesh: distances"):
        score_mesh(measured, true_mesh, config.points)
    return clock.seconds


def _images(side: int) -> list[tuple[Camera, Image]]:
    cameras = target_cameras(load_params(PARAMS).render)
    return [(camera, draw(shapes()["torus"], camera, side)) for camera in cameras]


def _true_mesh() -> Mesh:
    shape = shapes()["torus"]
    vertices, faces = np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32)
    return Mesh(vertices, faces, np.zeros((len(vertices), 3), np.uint8))


if __name__ == "__main__":
    main()
