"""The embedded data source: any number of objects, each a pure function of (family, seed, index)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh

from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.randomness import rng_for
from tasks.sources.procedural import floating, furniture, garden, kitchen, outdoors, toys
from tasks.sources.procedural.colours import name_of
from tasks.sources.procedural.parts import Part, glb_of, scene_of
from tasks.sources.procedural.score import aesthetic_score

_BUILDERS: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "mug": kitchen.mug,
    "chair": furniture.chair,
    "car": toys.car,
    "mushroom": garden.mushroom,
    "teapot": kitchen.teapot,
    "house": outdoors.house,
    "rocket": toys.rocket,
    "lamp": furniture.lamp,
    "duck": floating.duck,
    "books": furniture.books,
    "cactus": garden.cactus,
    "robot": toys.robot,
    "bottle": kitchen.bottle,
    "clock": furniture.clock,
    "boat": floating.boat,
    "cake": kitchen.cake,
    "vase": garden.vase,
    "fruit_bowl": kitchen.fruit_bowl,
    "watering_can": outdoors.watering_can,
    "snowman": garden.snowman,
    "gift": outdoors.gift,
    "guitar": outdoors.guitar,
    "table": furniture.table,
}

FAMILIES: tuple[str, ...] = tuple(_BUILDERS)
"""Every kind of object, in the order in which the index goes through them."""


def family_of(index: int) -> str:
    """The family of object `index`; the first len(FAMILIES) objects show each of them once."""
    return FAMILIES[index % len(FAMILIES)]


def object_uid(index: int) -> str:
    """A readable name, such as `mug-0000`."""
    return f"{family_of(index)}-{index:04d}"


def build(family: str, rng: np.random.Generator) -> trimesh.Scene:
    """One object of a family as a scene, Z up, standing on z = 0, its front along -Y."""
    return scene_of(_parts(family, rng))


def write_object(family: str, seed: int, index: int, path: Path) -> None:
    """Write the object as a GLB (Y up); equal arguments give equal bytes."""
    write_bytes(path, glb_of(build(family, _rng(family, seed, index))))


def score_object(family: str, seed: int, index: int) -> float:
    """The object's aesthetic score in [1, 10]; about 7 of 10 objects reach 5."""
    return aesthetic_score(_parts(family, _rng(family, seed, index)), rng_for(seed, "procedural-taste", family, index))


def describe(family: str, seed: int, index: int) -> str:
    """A short title such as "red and blue mug", after the colours that cover most of it."""
    areas: dict[str, float] = {}
    for part in _parts(family, _rng(family, seed, index)):
        name = name_of(part.finish.colour)
        areas[name] = areas.get(name, 0.0) + part.area
    names = sorted(areas, key=lambda name: (-areas[name], name))[:2]
    return f"{' and '.join(names)} {family.replace('_', ' ')}"


def _parts(family: str, rng: np.random.Generator) -> list[Part]:
    """The parts, moved so that the lowest point is at z = 0."""
    if family not in _BUILDERS:
        raise ValueError(f"there is no procedural family {family!r}; choose one of {', '.join(FAMILIES)}")
    parts = _BUILDERS[family](rng)
    lowest = min(float(part.shape.vertices[:, 2].min()) for part in parts)
    return [Part(part.name, part.shape.at(z=-lowest), part.finish) for part in parts]


def _rng(family: str, seed: int, index: int) -> np.random.Generator:
    return rng_for(seed, "procedural", family, index)
