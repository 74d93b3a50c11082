"""Toys: car, rocket, robot, rubber duck."""

import numpy as np

from tasks.sources.procedural.colours import BRASS, INK, STEEL, WHITE, darker, hsv, pale, trio, vivid
from tasks.sources.procedural.motifs import console, emblem
from tasks.sources.procedural.parts import Part, glossy, matte, metal, printed
from tasks.sources.procedural.patterns import any_pattern, bands, checks, dots, gradient, stripes
from tasks.sources.procedural.shape import Shape, around, joined
from tasks.sources.procedural.solids import ball, bezier, box, cylinder, lathe, prism, ring, tube


def _wheel(radius: float, width: float, side: float) -> tuple[Shape, Shape]:
    """A tyre and its hub, the hub facing along X to `side`."""
    profile = [(0.0, 0.0), (radius - 0.03, 0.0), (radius, 0.03), (radius, width - 0.03), (radius - 0.03, width)]
    tyre = lathe([*profile, (0.0, width)], 32)
    hub = lathe([(0, width - 0.02), (radius * 0.58, width - 0.02), (radius * 0.5, width + 0.02), (0, width + 0.03)], 20)
    return tyre.turned("y", side * 90), hub.turned("y", side * 90)


def car(rng: np.random.Generator) -> list[Part]:
    """A toy car driving towards the eye."""
    main, second, third = trio(rng)
    length, width = rng.uniform(1.15, 1.35), rng.uniform(0.58, 0.66)
    wheel, deck = rng.uniform(0.16, 0.19), rng.uniform(0.26, 0.30)
    cabin, glass = rng.uniform(0.26, 0.32), hsv(0.56, 0.5, 0.45)
    hull = box(width, length, deck, 0.075).at(z=0.12)
    paint = printed(stripes(main, pale(rng), 1, share=rng.uniform(0.25, 0.45)), 0.25)
    middle = rng.uniform(0.02, 0.10)
    house = box(width * 0.86, length * 0.52, cabin, 0.05).tapered(0.84, 0.66).at(0, middle, deck + 0.10)
    roof = box(width * 0.74, length * 0.37, 0.05, 0.022).at(0, middle, deck + 0.08 + cabin)
    sides = [(side, y) for side in (-1, 1) for y in (-length * 0.31, length * 0.31)]
    wheels = [
        [shape.at(side * (width / 2 - 0.07), y, wheel) for shape in _wheel(wheel, 0.12, side)] for side, y in sides
    ]
    nose = -length / 2
    lights = [ball(0.075, 1, 18).scaled(1, 0.45, 1).at(x, nose, 0.30) for x in (-width * 0.32, width * 0.32)]
    tails = [box(0.13, 0.03, 0.06, 0.012).at(x, -nose, 0.28) for x in (-width * 0.33, width * 0.33)]
    bumpers = [box(width * 0.96, 0.07, 0.075, 0.03).at(0, y, 0.13) for y in (nose - 0.01, -nose + 0.01)]
    grille = box(width * 0.36, 0.03, 0.09, 0.01).at(0, nose, 0.25)
    return [
        Part("hull", hull, paint),
        Part("stripe_sides", box(width + 0.012, length * 0.8, 0.05, 0.004).at(z=0.24), glossy(second)),
        Part("windows", house, glossy(glass, 0.08)),
        Part("roof", roof, glossy(main, 0.25)),
        Part("tyres", joined([tyre for tyre, _ in wheels]), matte(INK)),
        Part("hubs", joined([hub for _, hub in wheels]), metal(STEEL)),
        Part("head_lights", joined(lights), glossy((1.0, 0.95, 0.65), 0.1)),
        Part("tail_lights", joined(tails), glossy(vivid(rng, 0.0))),
        Part("bumpers", joined(bumpers), metal(STEEL, 0.2)),
        Part("grille", grille, printed(stripes(INK, STEEL, 9))),
        Part("siren", cylinder(0.06, 0.09, 0.02, 20).at(0, middle, deck + 0.12 + cabin), glossy(third)),
    ]


def rocket(rng: np.random.Generator) -> list[Part]:
    """A rocket on three fins; the porthole is in front."""
    main, second, third = trio(rng)
    wide, high = rng.uniform(0.24, 0.30), rng.uniform(0.62, 0.78)
    curve = bezier([(wide * 0.72, 0.0), (wide * 1.15, high * 0.3), (wide * 1.1, high * 0.7), (wide * 0.8, high)], 14)
    body = [(0.0, 0.0), *((float(r), float(z)) for r, z in curve), (0.0, high)]
    tip = bezier([(wide * 0.8, 0.0), (wide * 0.62, 0.2), (0.05, 0.34), (0.0, 0.36)], 12)
    cone = lathe([(0.0, 0.0), *((float(r), float(z)) for r, z in tip)])
    outline = np.array([(-0.12, 0.02), (0.12, -0.30), (0.28, -0.36), (0.26, -0.16), (0.12, 0.12), (-0.12, 0.30)])
    fin = prism(outline, 0.06, 0.012).at(z=-0.03).turned("x", 90).at(wide * 0.92, 0, 0.12)
    foot = 0.26
    flame = [(0.0, -0.22), (0.05, -0.15), (0.13, -0.02), (0.1, 0.06), (0.0, 0.06)]
    nozzle = [(0.0, -0.08), (wide * 0.6, -0.08), (wide * 0.48, 0.02), (0.0, 0.02)]
    hull = emblem(rng, WHITE, main) if rng.uniform() < 0.4 else checks(WHITE, main, 4, 2)
    hull = hull if rng.uniform() < 0.7 else bands((main, WHITE, second, WHITE), (0.2, 0.5, 0.62))
    hole = (0, -wide * 1.03, foot + high * 0.62)
    return [
        Part("hull", lathe(body).at(z=foot), printed(hull, 0.3)),
        Part("nose", cone.at(z=foot + high), glossy(second)),
        Part(
            "antenna",
            joined([tube([(0, 0, 0), (0, 0, 0.16)], 0.012, 8), ball(0.028, 1, 14).at(0, 0, 0.16)]).at(
                z=foot + high + 0.34
            ),
            metal(BRASS),
        ),
        Part("fins", around(fin, 3, 90).at(z=foot), glossy(second)),
        Part("nozzle", lathe(nozzle).at(z=foot), metal(darker(STEEL, 0.7))),
        Part("flame", lathe(flame, 24).at(z=foot - 0.04), printed(gradient(hsv(0.03, 0.9, 1), hsv(0.15, 0.8, 1)))),
        Part("porthole", ring(0.11, 0.032, 28).turned("x", 90).at(*hole), metal(STEEL)),
        Part("glass", ball(0.105, 0.4, 20).turned("x", 90).at(*hole), glossy(vivid(rng, 0.55), 0.08)),
        Part("collar", ring(wide * 0.82, 0.025).at(z=foot + high), glossy(third)),
    ]


def robot(rng: np.random.Generator) -> list[Part]:
    """A tin robot: face and console in front, one arm waving."""
    main, second, third = trio(rng)
    width, high = rng.uniform(0.52, 0.62), rng.uniform(0.48, 0.58)
    head, hip = rng.uniform(0.40, 0.48), 0.34
    neck = hip + high + 0.05
    crown = neck + head * 0.8
    wave = float(rng.choice([-1, 1]))
    reach = width / 2 + 0.02
    arms = [
        bezier(
            [
                (wave * reach, 0, hip + high * 0.8),
                (wave * (reach + 0.3), 0, hip + high * 0.6),
                (wave * (reach + 0.24), -0.05, hip + high * 1.3),
            ]
        ),
        bezier(
            [
                (-wave * reach, 0, hip + high * 0.8),
                (-wave * (reach + 0.26), 0, hip + high * 0.8),
                (-wave * (reach + 0.18), -0.08, hip + high * 0.1),
            ]
        ),
    ]
    legs = [tube([(x, 0, 0.05), (x, 0, hip + 0.05)], 0.075) for x in (-width * 0.27, width * 0.27)]
    boots = [box(0.2, 0.3, 0.12, 0.04).at(x, -0.04) for x in (-width * 0.27, width * 0.27)]
    eyes = [ball(0.08, 1, 20).scaled(1, 0.5, 1).at(x, -0.2, neck + head * 0.5) for x in (-head * 0.25, head * 0.25)]
    pupils = [
        ball(0.036, 1, 14).scaled(1, 0.5, 1).at(x, -0.235, neck + head * 0.5) for x in (-head * 0.25, head * 0.25)
    ]
    mouth = box(head * 0.5, 0.03, 0.07, 0.01).at(0, -0.2, neck + head * 0.12)
    antenna = joined([tube([(0, 0, crown), (0, 0, crown + 0.14)], 0.014, 8), ball(0.05, 1, 16).at(0, 0, crown + 0.16)])
    panel = box(width * 0.76, 0.04, high * 0.72, 0.012).at(0, -0.2, hip + high * 0.14)
    tank = joined([cylinder(0.09, high * 0.7, 0.03, 20).at(x, 0.24, hip + 0.06) for x in (-0.11, 0.11)])
    return [
        Part("body", box(width, 0.4, high, 0.05).at(z=hip), glossy(main)),
        Part("console", panel, printed(console(pale(rng), (second, third, vivid(rng))), 0.4)),
        Part("head", box(head, 0.4, head * 0.8, 0.06).at(z=neck), glossy(second)),
        Part("neck", cylinder(0.11, 0.12).at(z=hip + high - 0.02), metal(STEEL)),
        Part("eyes", joined(eyes), glossy(WHITE)),
        Part("pupils", joined(pupils), glossy(INK)),
        Part("mouth", mouth, printed(stripes(INK, WHITE, 6))),
        Part("antenna", antenna, glossy(vivid(rng, 0.0))),
        Part(
            "arms",
            joined([tube(arm, 0.05) for arm in arms]),
            printed(bands((STEEL, darker(STEEL)) * 6, tuple(np.arange(1, 12) / 12)), 0.4),
        ),
        Part("hands", joined([ball(0.09, 1, 18).at(*arm[-1]) for arm in arms]), glossy(third)),
        Part("legs", joined(legs), metal(STEEL)),
        Part("boots", joined(boots), glossy(third)),
        Part("tank", tank, metal(BRASS)),
    ]


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
