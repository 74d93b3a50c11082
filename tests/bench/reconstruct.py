"""Meshes from true views, hull beside SDF fits: `python -m tests.bench.reconstruct` (make bench-reconstruct).

Chamfer distances and volume IoU as the stage evaluate computes them (docs/evaluation.md); CPU seconds of all threads
from views to mesh. The row "truth" is the true mesh against itself: the noise of the points.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from flows.params import load_params
from infra.execution.processes import environment
from models.config import EFFORTS, ReconstructConfig
from models.reconstruction.mesh import Mesh
from models.reconstruction.raster import rasterise
from models.reconstruction.surface import reconstruct_views
from models.reconstruction.views import Cameras, Views
from render.images import encode_png
from tasks.evaluation.mesh_scores import MeasuredMesh, score_mesh
from tasks.sources.procedural.objects import FAMILIES, write_object
from tests.bench.reconstruct_worker import PARAMS, Job

SETTINGS = {
    "hull": ReconstructConfig(recipe=1, method="hull", quality=EFFORTS["standard"], vote="auto"),
    "hull, vote 0.9": ReconstructConfig(recipe=1, method="hull", quality=EFFORTS["standard"], vote=0.9),
    "hull, fine": ReconstructConfig(recipe=1, method="hull", quality=EFFORTS["paper"], vote="auto"),
    **{
        f"sdf {name}": ReconstructConfig(recipe=1, method="sdf", quality=effort, vote="auto")
        for name, effort in EFFORTS.items()
    },
    "sdf standard, normals": ReconstructConfig(
        recipe=1, method="sdf", quality=EFFORTS["standard"], vote="auto", normal_weight=0.5
    ),
}
DEFAULT = ("hull", "sdf draft", "sdf standard")
EVALUATE = load_params(PARAMS).evaluate
TRUTH_SEED = 1
"""Of the true mesh's points: others than a predicted one's, so that the truth's own row shows their noise."""
SHOWN = (3, 10, 17, 29)
"""Views in which the meshes are drawn."""


@dataclass(frozen=True)
class Row:
    """One object by one setting."""

    object: str
    setting: str
    chamfer: float
    chamfer_area: float
    iou: float
    seconds: float


@dataclass(frozen=True)
class Truth:
    """An object as it was rendered."""

    name: str
    views: Views
    mesh: Mesh
    measured: MeasuredMesh

    @classmethod
    def load(cls, path: Path) -> "Truth":
        """Read what the worker has written."""
        data = np.load(path)
        rgba, normals = data["rgba"].astype(np.float32) / 255, data["normal"].astype(np.float32)
        views = Views(rgba, data["world_from_camera"], data["fov_deg"], normals)
        mesh = Mesh(data["vertices"], data["faces"], np.full(data["vertices"].shape, 190, dtype=np.uint8))
        return cls(path.stem, views, mesh, MeasuredMesh.of(mesh, path.stem, EVALUATE, TRUTH_SEED))

    def score(self, setting: str, mesh: Mesh | None, seconds: float) -> Row:
        """Compare a mesh with the true one; no mesh has the IoU 0 and no distance."""
        if mesh is None:
            return Row(self.name, setting, float("nan"), float("nan"), 0.0, seconds)
        scores = score_mesh(MeasuredMesh.of(mesh, self.name, EVALUATE, 0), self.measured, EVALUATE.points)
        return Row(
            self.name,
            setting,
            scores["chamfer"],
            scores["chamfer_area"],
            scores.get("volume_iou", float("nan")),
            seconds,
        )


def main(words: Sequence[str] | None = None) -> None:
    """Print a row per object and setting, and the means; `--out` keeps them as JSON, `--look` draws the meshes."""
    arguments = _parser().parse_args(words)
    torch.set_num_threads(arguments.threads)
    rows, pictures, console = [], [], Console()
    with tempfile.TemporaryDirectory() as scratch:
        paths = _objects(arguments, Path(scratch))
        folder = arguments.views or Path(scratch) / "views"
        _render(paths, arguments, folder)
        for name in paths:
            truth = Truth.load(folder / f"{name}.npz")
            meshes = {"truth": truth.mesh}
            rows.append(truth.score("truth", truth.mesh, 0.0))
            for setting in arguments.settings:
                start = time.process_time()
                mesh = reconstruct_views(truth.views, SETTINGS[setting], arguments.seed, arguments.device)
                rows.append(truth.score(setting, mesh, time.process_time() - start))
                meshes |= {} if mesh is None else {setting: mesh}
                console.print(json.dumps(asdict(rows[-1])), soft_wrap=True)
            pictures.append(np.concatenate([_drawn(mesh, truth.views) for mesh in meshes.values()], axis=1))
    _show(rows)
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if arguments.look:
        width = max(picture.shape[1] for picture in pictures)
        padded = [np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0))) for one in pictures]
        arguments.look.write_bytes(encode_png(np.concatenate(padded)))


def summarise(rows: Sequence[Row]) -> Mapping[str, Mapping[str, float]]:
    """Means over objects by setting, and on how many objects it beats the hull in both numbers."""
    hull = {row.object: row for row in rows if row.setting == "hull"}
    summary = {}
    for setting in dict.fromkeys(row.setting for row in rows):
        chosen = [row for row in rows if row.setting == setting]
        better = [
            row.chamfer < hull[row.object].chamfer and row.iou > hull[row.object].iou
            for row in chosen
            if row.object in hull
        ]
        summary[setting] = {
            "chamfer": float(np.mean([row.chamfer for row in chosen])),
            "chamfer_area": float(np.mean([row.chamfer_area for row in chosen])),
            "iou": float(np.mean([row.iou for row in chosen])),
            "seconds": float(np.mean([row.seconds for row in chosen])),
            "better": float(sum(better)),
        }
    return summary


def _objects(arguments: argparse.Namespace, scratch: Path) -> dict[str, Path]:
    """Files by name: `<name>/model.obj` or mesh files of a folder, or one procedural object of each family."""
    found: dict[str, Path] = {}
    if arguments.folder is not None:
        found = {path.parent.name: path for path in sorted(arguments.folder.glob("*/model.obj"))}
        found |= {path.stem: path for path in sorted(arguments.folder.glob("*.glb"))}
    else:
        for name, family in FAMILIES.items():
            found[name] = scratch / f"{name}.glb"
            write_object(name, 0, family.place, found[name])
    chosen = {name: path for name, path in found.items() if not arguments.only or name in arguments.only}
    if not chosen:
        sys.exit(f"{arguments.folder} holds no <name>/model.obj or *.glb that --only names")
    return chosen


def _render(paths: Mapping[str, Path], arguments: argparse.Namespace, folder: Path) -> None:
    """Render the objects whose views do not lie in `folder` yet."""
    missing = {name: str(path) for name, path in paths.items() if not (folder / f"{name}.npz").exists()}
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    up_axis = None if arguments.folder is None else arguments.up_axis
    job = Job(missing, up_axis, arguments.side, arguments.quality, str(folder))
    (folder / "job.json").write_text(json.dumps(asdict(job)))
    words = [sys.executable, "-m", "tests.bench.reconstruct_worker", str(folder / "job.json")]
    subprocess.run(words, check=True, env=environment({}), stdout=subprocess.DEVNULL)


def _drawn(mesh: Mesh, views: Views) -> npt.NDArray[np.uint8]:
    """Pictures (len(SHOWN) * H, W, 4) of a mesh, as bright as its faces look to the camera and up."""
    cameras = Cameras(views.world_from_camera, views.fov_deg, min(256, views.rgba.shape[1]))
    pictures = []
    for view in SHOWN:
        raster = rasterise(mesh.vertices, mesh.faces, cameras, view)
        towards = views.world_from_camera[view, :3, :3] @ [0.3, 0.5, 0.8]
        shade = raster.interpolate(np.clip(mesh.normals @ towards, 0, 1), mesh.faces)
        grey = np.where(raster.face >= 0, 40 + 200 * shade, 255)
        pictures.append(np.repeat(grey[..., None], 4, axis=2).astype(np.uint8))
    drawn = np.concatenate(pictures)
    drawn[..., 3] = 255
    return drawn


def _show(rows: Sequence[Row]) -> None:
    table = Table(title=f"{len({row.object for row in rows})} objects")
    for column in ("setting", "Chamfer", "Chamfer, area", "IoU", "better than hull", "CPU s/object"):
        table.add_column(column, justify="left" if column == "setting" else "right")
    for setting, mean in summarise(rows).items():
        distances = (f"{mean[key]:.4f}" for key in ("chamfer", "chamfer_area"))
        table.add_row(setting, *distances, f"{mean['iou']:.3f}", f"{mean['better']:.0f}", f"{mean['seconds']:.1f}")
    Console(width=100).print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reconstruct", description=__doc__)
    parser.add_argument("--folder", type=Path, help="of <name>/model.obj (gso-eval) or *.glb; default: procedural")
    parser.add_argument("--up-axis", default="Z", help="of the folder's files; scans are Z up")
    parser.add_argument("--only", nargs="*", default=[], help="names of objects; default: all")
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--quality", default="standard", help="of rendering")
    parser.add_argument("--settings", nargs="*", default=DEFAULT, choices=[*SETTINGS], help="what is compared")
    parser.add_argument("--views", type=Path, help="folder that keeps the rendered views for the next time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    parser.add_argument("--look", type=Path, help="PNG of the meshes: truth, then each setting")
    return parser


if __name__ == "__main__":
    main()
