from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from render.config import LightConfig
from render.device import Machine
from render.lights import Rig, build_rig
from render.placement import normalize_bounds
from tests.render.toys import camera, toy_config, write_box


def rig(kind: Literal["none", "studio", "random"], seed: int = 0) -> Rig:
    return build_rig(LightConfig(sky=0.5, ground=0.1, suns=kind, sun=1.5), np.random.default_rng(seed))


def test_build_rig_without_suns_is_the_world_alone() -> None:
    assert rig("none").suns == ()
    assert (rig("none").sky, rig("none").ground) == (0.5, 0.1)


def test_build_rig_studio_is_the_same_for_every_object_and_its_key_is_stronger() -> None:
    assert rig("studio", 0) == rig("studio", 1)
    key, fill = rig("studio").suns
    assert key.strength == 1.5 > fill.strength > 0


def test_build_rig_random_depends_on_the_generator_and_shines_from_above() -> None:
    assert rig("random", 0) == rig("random", 0) != rig("random", 1)
    rigs = [rig("random", seed) for seed in range(50)]
    assert {len(drawn.suns) for drawn in rigs} == {1, 2, 3}
    for drawn in rigs:
        assert all(0 <= sun.elevation_deg < 90 for sun in drawn.suns)
        assert 0.75 - 1e-9 <= sum(sun.strength for sun in drawn.suns) <= 2.25 + 1e-9


@pytest.mark.blender
def test_sky_and_ground_light_what_faces_them_as_an_area_light_far_and_wide_does(tmp_path: Path) -> None:
    """The default is allenai/objaverse-rendering's light: 30 kW over 100 x 100 units, that is 0.955 W/m^2/sr."""
    objects = pytest.importorskip("render.blender.objects")
    shots = pytest.importorskip("render.blender.views")
    path = write_box(tmp_path / "white.glb", (255, 255, 255))
    light = LightConfig(sky=30_000 / (np.pi * 100**2), ground=0.051, suns="none", sun=0.0)
    report = objects.inspect(path)
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)
    shown = [camera(90, 85), camera(0, 0), camera(90, -85)]
    config = toy_config(light=light, samples=256, max_bounces=0)
    taken = shots.render_views(path, placement, shown, config, uid="white", seed=0, machine=Machine(2))
    top, side, bottom = (view.rgba[31:33, 31:33, :3].mean() / 255 for view in taken)
    assert top == pytest.approx(srgb(0.955), abs=0.01)
    assert side == pytest.approx(srgb((0.955 + 0.051) / 2), abs=0.02)
    assert bottom == pytest.approx(srgb(0.051), abs=0.02)


def srgb(linear: float) -> float:
    return float(1.055 * linear ** (1 / 2.4) - 0.055)
