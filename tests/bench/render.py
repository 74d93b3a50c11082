"""Cost and quality of rendering, ours beside others' settings: `python -m tests.bench.render` (make bench-render).

CPU seconds of all threads, interleaved, the least of several rounds; PSNR on white against 1024 samples a pixel.
Overhead: what is neither tracing nor denoising, as a share of the whole.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from infra.execution.processes import environment
from models.losses import metrics
from tasks.sources.procedural.objects import FAMILIES, write_object
from tests.bench.render_methods import METHODS, TRUTH, Method, method
from tests.bench.render_worker import Job

NUM_OBJECTS = 8
VIEWS = 42
"""Per object in the paper's set: 32 targets and 10 conditions."""
COLUMNS = (
    "method",
    "PSNR, dB",
    "worst object",
    "CPU s/view",
    "wall s/view",
    "start + import, CPU s",
    "overhead",
    f"CPU s/object of {VIEWS} views",
    "peak GiB",
)
Images = npt.NDArray[np.uint8]


def main(words: Sequence[str] | None = None) -> None:
    """Print the table; `--out` keeps it as JSON as well."""
    arguments = _parser().parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = _objects(arguments.folder, folder / "objects")[: arguments.objects]
        chosen = [method(name) for name in arguments.methods] or METHODS
        truth = _truth(paths, arguments, arguments.truth or folder / "truth")
        runs: dict[str, list[Run]] = {one.name: [] for one in chosen}
        for _ in range(arguments.rounds):
            for one in chosen:
                runs[one.name].append(_run(one, paths, arguments, folder / "run"))
    results = [_result(one, runs[one.name], truth, arguments.views) for one in chosen]
    _show(results, arguments, len(paths))
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1))


def psnr(images: Images, truth: Images) -> float:
    """Mean over views (V, H, W, 4) of the PSNR in dB, both on white."""
    predicted, target = (metrics.on_white(torch.from_numpy(rgba).double() / 255) for rgba in (images, truth))
    return metrics.psnr(predicted, target).mean().item()


def _objects(folder: Path | None, made: Path) -> list[Path]:
    if folder is not None:
        return sorted(folder.glob("*.glb"))
    made.mkdir()
    for name, family in FAMILIES.items():
        write_object(name, 0, family.place, made / f"{name}.glb")
    return sorted(made.iterdir())


def _truth(paths: Sequence[Path], arguments: argparse.Namespace, folder: Path) -> dict[str, Images]:
    """Views with very many samples by object; those that lie in `folder` are not made again."""
    missing = [path for path in paths if not (folder / f"{path.stem}.npy").exists()]
    if missing:
        _run(TRUTH, missing, arguments, folder)
    return {path.stem: np.load(folder / f"{path.stem}.npy") for path in paths}


@dataclass(frozen=True)
class Run:
    """One round of a method."""

    costs: list[dict[str, float]]
    """Per object: the fields of Cost, and `start`, its share of the processes' start."""
    peak_gb: float
    images: dict[str, Images]


def _run(one: Method, paths: Sequence[Path], arguments: argparse.Namespace, out: Path) -> Run:
    out.mkdir(exist_ok=True, parents=True)
    batches = [[path] for path in paths] if one.is_script else [list(paths)]
    rows, peaks = [], []
    for batch in batches:
        job = out / "job.json"
        names = [str(path) for path in batch]
        job.write_text(json.dumps(asdict(Job(one.name, names, arguments.side, arguments.views, str(out)))))
        words = [sys.executable, "-m", "tests.bench.render_worker", str(job)]
        subprocess.run(words, check=True, env=environment({}), stdout=subprocess.DEVNULL)
        report = json.loads((out / "costs.json").read_text())
        rows += [row | {"start": report["import"] / len(batch)} for row in report["objects"]]
        peaks.append(report["peak_gb"])
    return Run(rows, max(peaks), {path.stem: np.load(out / f"{path.stem}.npy") for path in paths})


def _result(one: Method, runs: Sequence[Run], truth: dict[str, Images], views: int) -> dict[str, object]:
    """Means over objects of the least cost of all rounds."""
    keys = ("start", "setup", "views", "views_wall", "fixed", "save")
    least = [
        {key: min(row[key] for row in rows) for key in keys} for rows in zip(*[run.costs for run in runs], strict=True)
    ]
    mean = {key: float(np.mean([row[key] for row in least])) for key in keys}
    quality = [psnr(images, truth[uid]) for uid, images in runs[-1].images.items()]
    per_view = {key: mean[key] / views for key in ("views", "views_wall", "fixed", "save")}
    whole = mean["start"] + mean["setup"] + VIEWS * (per_view["views"] + per_view["save"])
    overhead = mean["start"] + mean["setup"] + VIEWS * (per_view["fixed"] + per_view["save"])
    return {
        "name": one.name,
        "psnr": float(np.mean(quality)),
        "psnr_least": min(quality),
        "cpu_s_per_view": per_view["views"],
        "wall_s_per_view": per_view["views_wall"],
        "start_s": mean["start"] + mean["setup"],
        "overhead_share": overhead / whole,
        "cpu_s_per_object": whole,
        "peak_gb": max(run.peak_gb for run in runs),
        "note": one.note,
    }


def _show(results: list[dict[str, object]], arguments: argparse.Namespace, num_objects: int) -> None:
    title = f"{num_objects} objects, {arguments.views} views each at {arguments.side} px, least of {arguments.rounds}"
    table = Table(title=title)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in results:
        table.add_row(
            str(row["name"]),
            *(f"{row[key]:.1f}" for key in ("psnr", "psnr_least")),
            *(f"{row[key]:.2f}" for key in ("cpu_s_per_view", "wall_s_per_view", "start_s")),
            f"{row['overhead_share']:.1%}",
            f"{row['cpu_s_per_object']:.1f}",
            f"{row['peak_gb']:.2f}",
        )
    Console(width=140).print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.render", description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--views", type=int, default=2, help="per object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--objects", type=int, default=NUM_OBJECTS, help="at most so many")
    parser.add_argument("--folder", type=Path, help="GLB files; default: procedural objects")
    parser.add_argument("--methods", nargs="*", default=[], help="names, or a quality's numbers as JSON")
    parser.add_argument("--truth", type=Path, help="folder that keeps the views of many samples for the next time")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    return parser


if __name__ == "__main__":
    main()
