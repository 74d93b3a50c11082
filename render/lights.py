"""Decides which suns shine from where. Blender only carries it out."""

from dataclasses import dataclass

import numpy as np

from render.config import LightConfig

KEY_DEG, FILL_DEG = (315.0, 50.0), (135.0, 30.0)
"""Azimuth and elevation of the studio's two suns: opposite each other, so that no view looks at a dark side."""
FILL_SHARE = 0.5
"""Strength of the fill sun in parts of the key sun's."""
SOFTNESS_DEG = 20.0
"""Apparent diameter of a sun; the real one's 0.5 degrees draws hard shadows."""


@dataclass(frozen=True)
class Sun:
    """Parallel light that comes from a direction."""

    azimuth_deg: float
    elevation_deg: float
    strength: float
    """W/m^2; a white diffuse surface that faces a sun of pi is exactly white."""
    softness_deg: float = SOFTNESS_DEG


@dataclass(frozen=True)
class Rig:
    """The light of a scene: a grey world of two halves, and suns."""

    sky: float
    """Radiance of the world above the horizon, 1 = white."""
    ground: float
    """Radiance of the world below the horizon."""
    suns: tuple[Sun, ...]


def build_rig(config: LightConfig, rng: np.random.Generator) -> Rig:
    """Return the light that `config` asks for; `rng` is used by random suns only."""
    suns: tuple[Sun, ...] = ()
    if config.suns == "studio":
        suns = (Sun(*KEY_DEG, config.sun), Sun(*FILL_DEG, config.sun * FILL_SHARE))
    if config.suns == "random":
        suns = random_suns(config, rng)
    return Rig(config.sky, config.ground, suns)


def random_suns(config: LightConfig, rng: np.random.Generator) -> tuple[Sun, ...]:
    """Draw one to three suns, uniform over the upper half of the sky.

    Together they have between 0.5 and 1.5 times the strength `config.sun`.
    """
    num_suns = int(rng.integers(1, 4))
    strengths = config.sun * rng.uniform(0.5, 1.5) * rng.dirichlet(np.ones(num_suns))
    azimuths_deg = rng.uniform(0, 360, num_suns)
    elevations_deg = np.degrees(np.arcsin(rng.uniform(0, 1, num_suns)))
    suns = zip(azimuths_deg, elevations_deg, strengths, strict=True)
    return tuple(Sun(float(a), float(e), float(s)) for a, e, s in suns)
