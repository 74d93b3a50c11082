"""Cost and quality of rendering, ours beside others' settings: `python -m tests.bench.render` (make bench-render).

CPU seconds of one thread, interleaved, the least of several rounds; PSNR on white against 1024 samples a pixel.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from infra.processes import environment
from models import metrics
from tasks.procedural.objects import FAMILIES, write_object
from tests.bench.render_methods import METHODS, REFERENCE, Method
from tests.bench.render_worker import Job

NUM_OBJECTS = 8
Images = npt.NDArray[np.uint8]


def main(words: Sequence[str] | None = None) -> None:
    """Print the table; `--out` keeps it as JSON as well."""
    arguments = _parser().parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = _objects(arguments.folder, folder / "objects")[: arguments.objects]
        chosen = [one for one in METHODS if not arguments.methods or one.name in arguments.methods]
        truth = _run(REFERENCE, paths, arguments, folder / "reference")[1]
        costs: dict[str, list[list[dict[str, float]]]] = {one.name: [] for one in chosen}
        quality = {}
        for _ in range(arguments.rounds):
            for one in chosen:
                rows, images = _run(one, paths, arguments, folder / "run")
                costs[one.name].append(rows)
                quality[one.name] = [psnr(images[path.stem], truth[path.stem]) for path in paths]
    results = [_result(one, costs[one.name], quality[one.name], arguments.views) for one in chosen]
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
    for index, family in enumerate(FAMILIES):
        write_object(family, 0, index, made / f"{family}.glb")
    return sorted(made.iterdir())


def _run(
    one: Method, paths: Sequence[Path], arguments: argparse.Namespace, out: Path
) -> tuple[list[dict[str, float]], dict[str, Images]]:
    """Costs per object (import shared out, or whole for a process each) and images by object."""
    out.mkdir(exist_ok=True)
    batches = [[path] for path in paths] if one.process_per_object else [list(paths)]
    rows = []
    for batch in batches:
        job = out / "job.json"
        names = [str(path) for path in batch]
        job.write_text(json.dumps(asdict(Job(one.name, names, arguments.side, arguments.views, str(out)))))
        words = [sys.executable, "-m", "tests.bench.render_worker", str(job)]
        subprocess.run(words, check=True, env=environment({}), stdout=subprocess.DEVNULL)
        costs = json.loads((out / "costs.json").read_text())
        rows += [row | {"start": costs["import"] / len(batch)} for row in costs["objects"]]
    return rows, {path.stem: np.load(out / f"{path.stem}.npy") for path in paths}


def _result(one: Method, rounds: list[list[dict[str, float]]], quality: list[float], views: int) -> dict[str, object]:
    """Means over objects of the least cost of all rounds."""
    least = [
        {key: min(row[key] for row in rows) for key in ("start", "setup", "views")}
        for rows in zip(*rounds, strict=True)
    ]
    start, setup, shooting = (float(np.mean([row[key] for row in least])) for key in ("start", "setup", "views"))
    per_view = shooting / views
    return {
        "name": one.name,
        "psnr": float(np.mean(quality)),
        "psnr_least": min(quality),
        "cpu_s_per_view": per_view,
        "overhead_s": start + setup,
        "cpu_s_per_object": start + setup + 42 * per_view,
        "note": one.note,
    }


def _show(results: list[dict[str, object]], arguments: argparse.Namespace, num_objects: int) -> None:
    title = f"{num_objects} objects, {arguments.views} views each at {arguments.side} px, least of {arguments.rounds}"
    table = Table(title=title)
    for column in ("method", "PSNR, dB", "worst object", "CPU s/view", "start + import, s", "CPU s/object of 42 views"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in results:
        numbers = [f"{row[key]:.2f}" for key in ("psnr", "psnr_least", "cpu_s_per_view", "overhead_s")]
        table.add_row(str(row["name"]), *numbers, f"{row['cpu_s_per_object']:.1f}")
    Console(width=120).print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.render", description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--views", type=int, default=2, help="per object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--objects", type=int, default=NUM_OBJECTS, help="at most so many")
    parser.add_argument("--folder", type=Path, help="GLB files; default: procedural objects")
    parser.add_argument("--methods", nargs="*", default=[], help="names; default: all")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    return parser


if __name__ == "__main__":
    main()
