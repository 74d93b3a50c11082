"""Toys for the bath: rubber duck, sailing boat."""

import numpy as np

from tasks.sources.procedural.colours import BRASS, INK, WHITE, darker, hsv, pale, timber, trio, vivid
from tasks.sources.procedural.parts import Part, glossy, matte, metal, printed
from tasks.sources.procedural.patterns import any_pattern, dots, wood
from tasks.sources.procedural.pictures import emblem
from tasks.sources.procedural.shape import Floats, Shape, joined, sheet
from tasks.sources.procedural.solids import ball, bezier, box, cylinder, lathe, prism, ring, tube


def duck(rng: np.random.Generator) -> list[Part]:
    """A bath duck with a scarf and a hat, looking at the eye."""
    yellow = vivid(rng, float(rng.choice([0.135, 0.135, 0.93, 0.52])))
    scarf, hat, _ = trio(rng)
    high, size = rng.uniform(0.66, 0.74), rng.uniform(0.27, 0.31)
    body = ball(0.42, 0.74, 36).scaled(0.86, 1.12, 1).at(0, 0.08, 0.30)
    tail = tube(bezier([(0, 0.3, 0.36), (0, 0.6, 0.34), (0, 0.68, 0.62)], 14), [0.2, 0.12, 0.02], 18)
    wings = [ball(0.25, 0.62, 24).scaled(0.28, 1.05, 1).turned("x", -14).at(x, 0.14, 0.36) for x in (-0.35, 0.35)]
    head = (0, -0.2, high)
    bill = ball(0.13, 0.36, 24).scaled(1, 1.15, 1)
    beak = joined([bill.at(0, -0.2 - size, high - 0.03), bill.scaled(0.8, 0.8, 0.8).at(0, -0.19 - size, high - 0.075)])
    sides = (-0.13, 0.13)
    eyes = [ball(0.068, 1, 18).scaled(0.7, 0.6, 1).at(x, -0.2 - size * 0.86, high + 0.07) for x in sides]
    pupils = [ball(0.036, 1, 14).scaled(0.8, 0.6, 1).at(x, -0.235 - size * 0.86, high + 0.07) for x in sides]
    brim = cylinder(0.22, 0.03, 0.01)
    crown = [(0.0, 0.0), (0.15, 0.0), (0.145, 0.15), (0.12, 0.18), (0.0, 0.18)]
    place = (0.0, -0.15, high + size * 0.86)
    return [
        Part("body", joined([body, tail]), glossy(yellow, 0.25)),
        Part("wings", joined(wings), glossy(darker(yellow, 0.88), 0.3)),
        Part("head", ball(size, 1, 34).at(*head), glossy(yellow, 0.25)),
        Part("beak", beak, glossy(hsv(0.06, 0.95, 0.98))),
        Part("eyes", joined(eyes), glossy(WHITE)),
        Part("pupils", joined(pupils), glossy(INK, 0.1)),
        Part("scarf", ring(0.24, 0.065).at(0, -0.17, high - 0.24), printed(dots(scarf, WHITE, 14, 4), 0.8)),
        Part("hat", lathe(crown).turned("x", -8).at(*place), printed(any_pattern(rng, hat, pale(rng)), 0.6)),
        Part("brim", brim.turned("x", -8).at(*place), glossy(hat, 0.6)),
    ]


def boat(rng: np.random.Generator) -> list[Part]:
    """A sailing boat seen from the side, bow on the right."""
    main, second, third = trio(rng)
    length, high, mast = rng.uniform(1.05, 1.25), rng.uniform(0.24, 0.30), rng.uniform(1.0, 1.15)
    along = np.linspace(-1, 1, 24)
    half = 0.24 * np.sqrt(np.clip(1 - ((along + 0.25) / 1.25) ** 2, 0, 1))
    outline = np.concatenate([np.stack([along, -half], -1), np.stack([along[-2::-1], half[-2::-1]], -1)])
    plan = outline * [length / 2, 1.0]
    hull = prism(plan * 0.74, high).tapered(1.35, 1.35)
    deck = prism(plan * 0.9, 0.03)
    foot = high + 0.12
    main_sail = [(-0.02, foot), (-0.02, foot + mast * 0.82), (-0.5, foot)]
    jib = [(0.05, foot + 0.04), (0.05, foot + mast * 0.7), (0.47, foot - 0.04)]
    sails = [_sail(np.array(corners), bulge) for corners, bulge in ((main_sail, 0.16), (jib, 0.12))]
    flag = box(0.17, 0.015, 0.1, 0.005).at(0.1, 0, high + mast + 0.02)
    buoy = ring(0.085, 0.03, 24).turned("x", 90).at(-0.25, -0.25, high * 0.72)
    return [
        Part("hull", hull, glossy(main)),
        Part("deck", deck.at(z=high - 0.015), printed(wood(rng, timber(rng), 9))),
        Part("keel", box(length * 0.4, 0.05, 0.12, 0.02).at(-0.05, 0, -0.1), glossy(third)),
        Part("mast", tube([(0, 0, high), (0, 0, high + mast + 0.12)], 0.022, 12), printed(wood(rng, timber(rng)))),
        Part("boom", tube([(0.03, 0, foot - 0.02), (-0.54, 0, foot - 0.02)], 0.016, 10), metal(BRASS)),
        Part("main_sail", sails[0], printed(emblem(rng, WHITE, second), 0.8)),
        Part("jib", sails[1], printed(any_pattern(rng, WHITE, third), 0.8)),
        Part("flag", flag, glossy(vivid(rng), 0.7)),
        Part("cabin", box(0.3, 0.2, 0.1, 0.03).at(-0.25, 0, high), glossy(second)),
        Part("buoy", buoy, printed(any_pattern(rng, WHITE, vivid(rng, 0.0)))),
        Part("tiller", cylinder(0.02, 0.14, 0, 10).turned("y", -40).at(-0.45, 0, high), matte(darker(main))),
    ]


def _sail(corners: Floats, bulge: float) -> Shape:
    """A filled sail: `corners` (3, 2) are x, z of foot, head, foot; it swells towards -Y."""
    left, right = sorted((corners[0], corners[2]), key=lambda corner: float(corner[0]))
    s, t = np.meshgrid(np.linspace(0, 1, 13), np.linspace(0, 1, 13), indexing="ij")
    flat = (left + (right - left) * t[..., None]) * (1 - s[..., None]) + corners[1] * s[..., None]
    swell = np.sin(np.pi * t) * np.sin(np.pi * s)
    faces = [np.stack([flat[..., 0], -depth * swell, flat[..., 1]], axis=-1) for depth in (bulge, bulge - 0.03)]
    uv = np.stack([t * (1 - s) + 0.5 * s, s], axis=-1)
    return joined([sheet(faces[0], uv), sheet(faces[1][:, ::-1], uv[:, ::-1])])
