"""Size of rendered views as PNG, and seconds to decode one: `python -m tests.bench.view_files`.

Procedural objects of every family with the committed settings; CPU seconds of this process, the least of three rounds.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from flows.params import load_params
from render.blender.objects import inspect
from render.blender.views import render_views
from render.device import Machine
from render.images import decode_png, encode_png
from render.placement import normalize_bounds
from render.views import target_cameras
from tasks.sources.procedural.objects import FAMILIES
from tests.golden.recipes import make_object

PARAMS = Path(__file__).parents[2] / "params.yaml"


def main(words: Sequence[str] | None = None) -> None:
    """Print one line for each size."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.view_files", description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 256, 512])
    parser.add_argument("--families", nargs="+", default=sorted(FAMILIES))
    arguments = parser.parse_args(words)
    for side in arguments.sides:
        start = time.process_time()
        files = rendered_files(arguments.families, side)
        cost = (time.process_time() - start) / len(files)
        size = sum(map(len, files)) / len(files)
        seconds = min(_decode_seconds(files) for _ in range(3))
        made = f"{size / 1e3:.1f} kB, decoded in {1e3 * seconds:.2f} ms, made in {cost:.3f} s"
        Console().print(f"{side} px, {len(files)} views: {made}")


def rendered_files(families: Sequence[str], side: int) -> list[bytes]:
    """Render the two views t09 and t20 of an object of each family, as PNG."""
    config = load_params(PARAMS).render.model_copy(update={"resolution": side})
    files = []
    for family in families:
        with tempfile.TemporaryDirectory() as folder:
            path = make_object(family, Path(folder))
            report = inspect(path)
            placement = normalize_bounds(report.minimum, report.maximum, 1.0)
            cameras = [target_cameras(config)[index] for index in (9, 20)]
            views = render_views(path, placement, cameras, config, uid=path.stem, seed=0, machine=Machine(threads=2))
            files += [encode_png(view.rgba) for view in views]
    return files


def _decode_seconds(files: Sequence[bytes]) -> float:
    start = time.process_time()
    for file in files:
        decode_png(file)
    return (time.process_time() - start) / len(files)


if __name__ == "__main__":
    main()
