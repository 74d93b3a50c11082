"""The embedded data source: any number of objects, each a pure function of (family, seed, index).

The indices go round the families: index 0 is a mug, 1 a chair, and after ROUND indices a mug follows again. A place of
the round without a family makes no object. Such places are those of eleven families that were removed; they stay empty,
because an object's index is part of its name and decides its bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.randomness import rng_for
from tasks.sources.procedural import furniture, garden, kitchen, toys
from tasks.sources.procedural.colours import name_of
from tasks.sources.procedural.parts import Part, glb_of, scene_of
from tasks.sources.procedural.score import aesthetic_score


@dataclass(frozen=True)
class Family:
    """One kind of object."""

    place: int
    """The family's first index, in [0, ROUND)."""
    build: Callable[[np.random.Generator], list[Part]]
    """Makes the parts of one object from random numbers, Z up, its front along -Y."""


ROUND = 23
"""Number of indices after which the families come again."""
FAMILIES: dict[str, Family] = {
    "mug": Family(0, kitchen.mug),
    "chair": Family(1, furniture.chair),
    "car": Family(2, toys.car),
    "mushroom": Family(3, garden.mushroom),
    "rocket": Family(6, toys.rocket),
    "duck": Family(8, toys.duck),
    "books": Family(9, furniture.books),
    "robot": Family(11, toys.robot),
    "vase": Family(16, garden.vase),
    "fruit_bowl": Family(17, kitchen.fruit_bowl),
    "snowman": Family(19, garden.snowman),
    "guitar": Family(21, furniture.guitar),
}
"""Every kind of object by name, in the order of the round; the package's docstring says why each is there."""
_NAMES = {family.place: name for name, family in FAMILIES.items()}


def object_indices(stop: int) -> list[int]:
    """Return the indices below `stop` that make an object: 12 of each 23."""
    return [index for index in range(stop) if index % ROUND in _NAMES]


def family_of(index: int) -> str:
    """Return the name of the family of object `index`, which is one of `object_indices`."""
    return _NAMES[index % ROUND]


def object_uid(index: int) -> str:
    """Return a readable name, such as `mug-0000`."""
    return f"{family_of(index)}-{index:04d}"


def build(family: str, rng: np.random.Generator) -> trimesh.Scene:
    """Return one object of a family as a scene, Z up, standing on z = 0, its front along -Y.

    Raises ValueError when there is no such family.
    """
    return scene_of(_parts(family, rng))


def write_object(family: str, seed: int, index: int, path: Path) -> None:
    """Write the object as a GLB (Y up); equal arguments give equal bytes."""
    write_bytes(path, glb_of(build(family, _rng(family, seed, index))))


def score_object(family: str, seed: int, index: int) -> float:
    """Return the object's aesthetic score in [1, 10]; about three of four objects reach 5."""
    return aesthetic_score(_parts(family, _rng(family, seed, index)), rng_for(seed, "procedural-taste", family, index))


def describe(family: str, seed: int, index: int) -> str:
    """Return a short title such as "red and blue mug", after the colours that cover most of it."""
    areas: dict[str, float] = {}
    for part in _parts(family, _rng(family, seed, index)):
        name = name_of(part.finish.colour)
        areas[name] = areas.get(name, 0.0) + part.area
    names = sorted(areas, key=lambda name: (-areas[name], name))[:2]
    return f"{' and '.join(names)} {family.replace('_', ' ')}"


def _parts(family: str, rng: np.random.Generator) -> list[Part]:
    """The parts, moved so that the lowest point is at z = 0."""
    if family not in FAMILIES:
        raise ValueError(f"there is no procedural family {family!r}; choose one of {', '.join(FAMILIES)}")
    parts = FAMILIES[family].build(rng)
    lowest = min(float(part.shape.vertices[:, 2].min()) for part in parts)
    return [Part(part.name, part.shape.at(z=-lowest), part.finish) for part in parts]


def _rng(family: str, seed: int, index: int) -> np.random.Generator:
    return rng_for(seed, "procedural", family, index)
