"""Things of the kitchen: mug, teapot, bottle, fruit bowl, cake."""

import numpy as np

from tasks.sources.procedural.colours import BRASS, LEAF, SOIL, WHITE, darker, hsv, pale, trio, vivid
from tasks.sources.procedural.fruit import apple, stalk
from tasks.sources.procedural.parts import Part, glossy, matte, metal, printed
from tasks.sources.procedural.patterns import any_pattern, bands, dots, gradient
from tasks.sources.procedural.pictures import emblem, label
from tasks.sources.procedural.shape import Shape, around, joined
from tasks.sources.procedural.solids import ball, bezier, cylinder, lathe, prism, ring, tube, vessel


def mug(rng: np.random.Generator) -> list[Part]:
    """A mug with a drink in it; the handle is on the right."""
    main, second, _ = trio(rng)
    height, foot = rng.uniform(0.85, 1.1), rng.uniform(0.36, 0.44)
    rim = foot * rng.uniform(0.98, 1.12)
    belly = (foot + rim) / 2 * rng.uniform(0.97, 1.08)
    wall = [(foot * 0.94, 0.0), (foot, 0.04), (belly, height / 2), (rim, height)]
    lining = [(r - 0.02, z + 0.03) for r, z in wall[:-1]] + [(rim - 0.004, height - 0.02), (rim - 0.01, height + 0.015)]
    reach = rng.uniform(0.36, 0.46)
    grip = bezier([(0, 0, 0.80), (reach, 0, 0.95), (reach * 1.15, 0, 0.3), (0, 0, 0.2)], 20) * [1, 1, height]
    picture = emblem(rng, main, pale(rng)) if rng.uniform() < 0.6 else any_pattern(rng, main, pale(rng))
    drink = hsv(rng.uniform(0.05, 0.09), 0.75, rng.uniform(0.2, 0.5))
    return [
        Part("body", vessel(wall, 0.03), printed(picture, 0.25)),
        Part("lining", vessel(lining, 0.035), glossy(WHITE)),
        Part("handle", tube(grip + np.array([rim - 0.03, 0, 0]), 0.055), glossy(second)),
        Part("drink", cylinder(rim - 0.05, 0.02).at(z=height * 0.84), glossy(drink, 0.1)),
    ]


def teapot(rng: np.random.Generator) -> list[Part]:
    """A round pot: spout on the left, handle on the right."""
    main, second, third = trio(rng)
    wide, high = rng.uniform(0.50, 0.58), rng.uniform(0.70, 0.86)
    curve = bezier([(0.30, 0), (wide * 1.25, 0.05), (wide * 1.25, high * 0.85), (0.24, high)], 16)
    profile = [(0.0, 0.0), *((float(r), float(z)) for r, z in curve), (0.0, high)]
    lid = [(0.0, -0.02), (0.26, -0.02), (0.25, 0.03), (0.16, 0.09), (0.05, 0.12), (0.0, 0.12)]
    spout = bezier([(-0.36, 0, 0.22), (-0.75, 0, 0.20), (-0.66, 0, 0.62), (-0.95, 0, 0.78)], 20) * [1, 1, high / 0.7]
    grip = bezier([(0.40, 0, 0.60), (0.98, 0, 0.85), (1.02, 0, 0.15), (0.42, 0, 0.16)], 22) * [1, 1, high / 0.7]
    pattern = any_pattern(rng, main, pale(rng))
    return [
        Part("body", lathe(profile), printed(pattern, 0.22)),
        Part("foot", lathe([(0.0, -0.05), (0.33, -0.05), (0.31, 0.02), (0.0, 0.02)]), glossy(second)),
        Part("spout", tube(spout, [0.15, 0.11, 0.07, 0.075]), glossy(second)),
        Part("handle", tube(grip, [0.05, 0.06, 0.05]), glossy(second)),
        Part("lid", lathe(lid).at(z=high), glossy(main)),
        Part("knob", ball(0.075).at(z=high + 0.17), glossy(third)),
        Part("tip", ring(0.07, 0.018).turned("y", -35).at(*spout[-1]), metal(BRASS)),
    ]


def bottle(rng: np.random.Generator) -> list[Part]:
    """A bottle with a wrapped label, its name in front."""
    glass = hsv(float(rng.choice([0.33, 0.07, 0.58, 0.95, 0.13])), rng.uniform(0.7, 0.9), rng.uniform(0.35, 0.6))
    paper, mark = pale(rng, 0.12), vivid(rng)
    radius, shoulder = rng.uniform(0.22, 0.28), rng.uniform(0.72, 0.85)
    neck, top = rng.uniform(0.07, 0.09), rng.uniform(1.2, 1.32)
    slope = bezier([(radius, shoulder), (radius, shoulder + 0.2), (neck, shoulder + 0.12), (neck, top - 0.1)], 14)
    profile = [(0.0, 0.0), (radius * 0.92, 0.0), (radius, 0.04), *((float(r), float(z)) for r, z in slope)]
    words = str(rng.choice(["COLA", "OLIO", "WINE", "MILK", "SODA", "RUM"]))
    sleeve = [(radius - 0.02, 0.0), (radius + 0.006, 0.0), (radius + 0.006, 0.46), (radius - 0.02, 0.46)]
    return [
        Part("glass", lathe([*profile, (neck, top), (0.0, top)]), glossy(glass, 0.12)),
        Part("label", lathe([*sleeve, sleeve[0]]).at(z=0.16), printed(label(words, paper, mark), 0.6)),
        Part("collar", cylinder(neck + 0.012, 0.16).at(z=top - 0.18), glossy(mark)),
        Part("cap", cylinder(neck + 0.025, 0.12, 0.02).at(z=top), metal(BRASS)),
    ]


def fruit_bowl(rng: np.random.Generator) -> list[Part]:
    """A bowl with apples, oranges, a pear and a banana."""
    main, second, _ = trio(rng)
    wide = rng.uniform(0.66, 0.76)
    wall = bezier([(0.24, 0.05), (0.55, 0.02), (wide * 0.98, 0.2), (wide, 0.42)], 12)
    bowl = vessel([(float(r), float(z)) for r, z in wall], 0.045, 48)
    pear = lathe([(0.0, -0.2), (0.12, -0.19), (0.2, -0.08), (0.19, 0.03), (0.1, 0.17), (0.07, 0.28), (0.0, 0.31)], 24)
    red, green = vivid(rng, 0.99), vivid(rng, 0.25)
    orange = dots(hsv(0.085, 0.95, 0.98), hsv(0.075, 0.95, 0.88), 14, 9, 0.2)
    curve = bezier([(-0.42, -0.30, 0.42), (-0.2, -0.52, 0.60), (0.25, -0.48, 0.62), (0.45, -0.18, 0.52)], 20)
    turn = rng.uniform(-25, 25)
    places = {"green": (-0.30, 0.12, 0.31), "red": (0.02, 0.30, 0.35), "pear": (0.05, 0.0, 0.62)}
    stalks = [stalk(0.2).at(*places[name]) for name in ("green", "red")]
    fruits = [
        Part("green_apple", apple(0.2).at(*places["green"]), glossy(green)),
        Part("red_apple", apple(0.2).at(*places["red"]), glossy(red)),
        Part("orange", joined([ball(0.2).at(0.34, 0.14, 0.5), ball(0.19).at(0.0, -0.2, 0.44)]), printed(orange, 0.6)),
        Part("pear", pear.turned("x", 14).at(*places["pear"]), glossy(hsv(0.17, 0.75, 0.88), 0.4)),
        Part("banana", tube(curve, [0.02, 0.075, 0.085, 0.075, 0.025], 10), matte(hsv(0.14, 0.85, 0.98))),
        Part("stalks", joined(stalks), matte(SOIL)),
    ]
    return [
        Part("bowl", bowl, printed(any_pattern(rng, main, pale(rng)), 0.3)),
        Part("foot", cylinder(0.27, 0.07, 0.01), glossy(second)),
        *(Part(fruit.name, fruit.shape.turned("z", turn), fruit.finish) for fruit in fruits),
    ]


def cake(rng: np.random.Generator) -> list[Part]:
    """A layer cake on a stand with one slice missing at the front."""
    icing, candle, plate = trio(rng)
    sponge, cream = hsv(0.10, 0.45, 0.85), pale(rng)
    missing, high = np.radians(rng.uniform(42, 62)), rng.uniform(0.40, 0.52)
    middle = np.radians(rng.uniform(285, 330))
    angles = middle + np.linspace(missing / 2, 2 * np.pi - missing / 2, 44)

    def sector(radius: float, height: float) -> Shape:
        arc = radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        return prism(np.concatenate([arc, [[0.0, 0.0]]]), height)

    berries = [(0.42 * np.cos(a), 0.42 * np.sin(a)) for a in angles[4:-3:5]]
    sticks = [angles[i] for i in (12, 21, 30)]
    layers = bands((sponge, cream, sponge, cream, sponge), (0.28, 0.36, 0.64, 0.72))
    stand = [(0.0, 0.0), (0.3, 0.0), (0.26, 0.04), (0.08, 0.08), (0.08, 0.16), (0.66, 0.2), (0.68, 0.24), (0.0, 0.24)]
    stripes = gradient(candle, WHITE)
    sugar = dots(icing, darker(pale(rng), 0.98), 12, 12, 0.2)
    return [
        Part("stand", lathe(stand, 48), glossy(plate)),
        Part("sponge", sector(0.54, high).at(z=0.24), printed(layers, 0.9)),
        Part("icing", sector(0.565, 0.07).at(z=0.24 + high), printed(sugar, 0.35)),
        Part(
            "berries", joined([ball(0.065, 1, 18).at(x, y, high + 0.36) for x, y in berries]), glossy(vivid(rng, 0.97))
        ),
        Part(
            "candles",
            joined([cylinder(0.025, 0.24, 0, 12).at(0.22 * np.cos(a), 0.22 * np.sin(a), high + 0.3) for a in sticks]),
            printed(stripes),
        ),
        Part(
            "flames",
            joined([ball(0.03, 1.9, 12).at(0.22 * np.cos(a), 0.22 * np.sin(a), high + 0.59) for a in sticks]),
            glossy(hsv(0.11, 0.9, 1.0)),
        ),
        Part("leaves", around(ball(0.045, 0.35, 12).at(0.10, 0, high + 0.32), 3), matte(LEAF)),
    ]
