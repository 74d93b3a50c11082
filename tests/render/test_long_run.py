"""A worker that renders one object after the other does not grow."""

from pathlib import Path

import psutil
import pytest

from render.device import Machine
from render.placement import normalize_bounds
from tasks.sources.procedural.objects import FAMILIES, write_object
from tests.render.toys import camera, toy_config

pytestmark = [pytest.mark.blender, pytest.mark.slow]
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")

IMPORTS, SETTLED = 200, 50
GROWTH_MB = 50


@pytest.mark.nightly
def test_render_views_of_200_objects_in_one_process_keep_its_memory(tmp_path: Path) -> None:
    paths = [tmp_path / f"{family}.glb" for family in list(FAMILIES)[:10]]
    for path in paths:
        write_object(path.stem, 0, FAMILIES[path.stem].place, path)
    config = toy_config(resolution=16, samples=1, passes=("depth", "normal"))
    memory_mb = []
    for number in range(IMPORTS):
        path = paths[number % len(paths)]
        report = objects.inspect(path)
        placement = normalize_bounds(report.minimum, report.maximum, 1.0)
        shown = [camera(azimuth, 20) for azimuth in (0, 120)]
        views = shots.render_views(path, placement, shown, config, uid=path.stem, seed=0, machine=Machine(1))
        assert all(view.rgba.any() for view in views)
        memory_mb.append(psutil.Process().memory_info().rss / 2**20)
    print("MiB after each 25 objects:", [round(value) for value in memory_mb[::25]], round(memory_mb[-1]))  # noqa: T201
    assert max(memory_mb[-10:]) - max(memory_mb[SETTLED - 10 : SETTLED]) < GROWTH_MB
