import numpy as np

from render.config import LightConfig
from render.lights import build_rig


def rig(kind, seed=0):
    return build_rig(LightConfig(rig=kind, environment=0.5, sun=1.5), np.random.default_rng(seed))


def test_build_rig_uniform_has_no_sun():
    assert rig("uniform").suns == ()
    assert rig("uniform").environment == 0.5


def test_build_rig_studio_is_the_same_for_every_object_and_its_key_is_stronger():
    assert rig("studio", 0) == rig("studio", 1)
    key, fill = rig("studio").suns
    assert key.strength == 1.5 > fill.strength > 0


def test_build_rig_random_depends_on_the_generator_and_shines_from_above():
    assert rig("random", 0) == rig("random", 0) != rig("random", 1)
    rigs = [rig("random", seed) for seed in range(50)]
    assert {len(drawn.suns) for drawn in rigs} == {1, 2, 3}
    for drawn in rigs:
        assert all(0 <= sun.elevation_deg < 90 for sun in drawn.suns)
        assert 0.75 - 1e-9 <= sum(sun.strength for sun in drawn.suns) <= 2.25 + 1e-9
