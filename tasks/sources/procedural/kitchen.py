"""Things of the kitchen: mug, fruit bowl."""

import numpy as np

from tasks.sources.procedural.colours import SOIL, WHITE, hsv, pale, trio, vivid
from tasks.sources.procedural.fruit import apple, stalk
from tasks.sources.procedural.motifs import emblem
from tasks.sources.procedural.parts import Part, glossy, matte, printed
from tasks.sources.procedural.patterns import any_pattern, dots
from tasks.sources.procedural.shape import joined
from tasks.sources.procedural.solids import ball, bezier, cylinder, lathe, tube, vessel


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
    texture = emblem(rng, main, pale(rng)) if rng.uniform() < 0.6 else any_pattern(rng, main, pale(rng))
    drink = hsv(rng.uniform(0.05, 0.09), 0.75, rng.uniform(0.2, 0.5))
    return [
        Part("body", vessel(wall, 0.03), printed(texture, 0.25)),
        Part("lining", vessel(lining, 0.035), glossy(WHITE)),
        Part("handle", tube(grip + np.array([rim - 0.03, 0, 0]), 0.055), glossy(second)),
        Part("drink", cylinder(rim - 0.05, 0.02).at(z=height * 0.84), glossy(drink, 0.1)),
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
