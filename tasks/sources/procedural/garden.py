"""Things of a garden: mushroom, vase of flowers, snowman."""

import numpy as np

from tasks.sources.procedural.colours import INK, LEAF, WHITE, darker, hsv, mixed, pale, trio, vivid
from tasks.sources.procedural.parts import Part, glossy, matte, printed
from tasks.sources.procedural.patterns import any_pattern, bands, dots, gradient, stripes
from tasks.sources.procedural.shape import Floats, Shape, around, joined
from tasks.sources.procedural.solids import ball, bezier, cylinder, lathe, ring, tube, vessel


def _mushroom(wide: float, high: float, lean: float) -> tuple[Shape, Shape, Shape]:
    """Stem, cap and gills."""
    stem = tube(
        bezier([(0, 0, 0.02), (lean, 0, high * 0.4), (0, 0, high)], 14), [wide * 0.36, wide * 0.24, wide * 0.26], 24
    )
    dome = bezier([(wide * 0.9, -0.06), (wide * 1.16, 0.02), (wide * 0.75, wide * 0.85), (0.0, wide * 0.82)], 18)
    cap = [(0.0, -0.03), (wide * 0.8, -0.06), *((float(r), float(z)) for r, z in dome)]
    gills = lathe([(0.0, -0.05), (wide * 0.25, -0.07), (wide * 0.88, -0.065), (0.0, 0.0)], 40)
    return stem, lathe(cap, v_by="length").turned("y", 40 * lean).at(z=high), gills.turned("y", 40 * lean).at(z=high)


def mushroom(rng: np.random.Generator) -> list[Part]:
    """A dotted mushroom with a small one beside it, on a tuft of grass."""
    main = vivid(rng, float(rng.choice([0.0, 0.02, 0.07, 0.85, 0.6])))
    wide, high, lean = rng.uniform(0.40, 0.50), rng.uniform(0.55, 0.72), rng.uniform(-0.18, 0.18)
    big = _mushroom(wide, high, lean)
    side, near = float(rng.choice([-1, 1])), rng.uniform(0.42, 0.5)
    small = [shape.at(side * 0.42, -0.26) for shape in _mushroom(wide * near, high * 0.45, -lean)]
    spotted = dots(main, WHITE, 8, 8, rng.uniform(0.25, 0.36))
    angles = rng.uniform(0, 2 * np.pi, size=16)
    blades = [
        tube(
            bezier(
                [
                    (0.42 * np.cos(a), 0.42 * np.sin(a), 0.05),
                    (0.46 * np.cos(a), 0.46 * np.sin(a), 0.2),
                    (0.6 * np.cos(a), 0.6 * np.sin(a), 0.18 + 0.1 * np.sin(7 * a)),
                ],
                8,
            ),
            [0.028, 0.02, 0.003],
            12,
        )
        for a in angles
    ]
    gills = stripes(pale(rng, 0.1), darker(pale(rng, 0.08), 0.7), 24)
    bug = vivid(rng, 0.0) if main[0] < 0.7 else vivid(rng, 0.14)
    return [
        Part("stem", joined([big[0], small[0]]), printed(gradient(darker(WHITE, 0.8), WHITE), 0.8)),
        Part("cap", big[1], printed(spotted, 0.35)),
        Part("small_cap", small[1], printed(dots(darker(main, 0.9), WHITE, 5, 6, 0.3), 0.35)),
        Part("gills", joined([big[2], small[2]]), printed(gills, 0.8)),
        Part("skirt", ring(wide * 0.27, 0.035).scaled(1, 1, 0.7).at(lean * 0.3, 0, high * 0.72), matte(WHITE)),
        Part("ground", lathe([(0, 0), (0.62, 0), (0.55, 0.06), (0.3, 0.1), (0, 0.11)]), matte(LEAF)),
        Part("grass", joined(blades), matte(mixed(LEAF, (0.6, 0.85, 0.2), 0.5))),
        Part("beetle", ball(0.075, 0.7, 16).at(-side * 0.36, -0.34, 0.1), glossy(bug)),
    ]


def vase(rng: np.random.Generator) -> list[Part]:
    """A vase with three kinds of flowers."""
    main, second, _ = trio(rng)
    belly, neck, high = rng.uniform(0.28, 0.36), rng.uniform(0.11, 0.15), rng.uniform(0.62, 0.75)
    curve = bezier([(0.16, 0), (belly * 1.7, high * 0.25), (neck * 0.2, high * 0.75), (neck * 1.5, high)], 22)
    pattern = any_pattern(rng, main, pale(rng))
    leans = rng.uniform(0.16, 0.34, size=5)
    turns = 72 * np.arange(5) + rng.uniform(-20, 20, size=5)
    lengths = high + rng.uniform(0.30, 0.60, size=5)
    stems = [
        bezier([(0, 0, 0.1), (0, 0, high), (lean, 0, length)], 14) for lean, length in zip(leans, lengths, strict=True)
    ]
    blooms = [vivid(rng, float(hue)) for hue in (0.97, 0.14, 0.80)]
    petal = ball(0.09, 0.3, 14).scaled(1, 0.62, 1).turned("y", -14).at(0.115)
    tulip = lathe([(0, 0), (0.07, 0.01), (0.11, 0.08), (0.085, 0.2), (0.04, 0.15), (0, 0.12)], 20, v_by="length")

    def placed(shape: Shape, numbers: tuple[int, ...]) -> Shape:
        return joined([shape.turned("y", 28).at(*stems[i][-1]).turned("z", turns[i]) for i in numbers])

    leaf = tube(bezier([(0, 0, high - 0.1), (0.1, 0, high + 0.3), (0.42, 0, high + 0.12)], 12), [0.02, 0.09, 0.004], 16)
    return [
        Part("vase", vessel([(float(r), float(z)) for r, z in curve], 0.025, 44), printed(pattern, 0.25)),
        Part("rim", ring(float(curve[-1][0]) - 0.012, 0.022).at(z=high), glossy(second)),
        Part(
            "stems",
            joined([tube(stem, 0.016, 10).turned("z", turn) for stem, turn in zip(stems, turns, strict=True)]),
            matte(LEAF),
        ),
        Part(
            "leaves", joined([leaf.scaled(1, 0.5, 1).turned("z", float(turn) + 36) for turn in turns[:4]]), matte(LEAF)
        ),
        Part("daisies", placed(around(petal, 8), (0, 2)), glossy(WHITE, 0.7)),
        Part("hearts", placed(ball(0.065, 0.6, 16).at(z=0.02), (0, 2)), matte(hsv(0.13, 0.95, 0.98))),
        Part("tulips", placed(tulip, (1, 3)), printed(gradient(blooms[0], mixed(blooms[0], (1, 0.9, 0.5), 0.5)), 0.6)),
        Part("round_flower", placed(around(petal, 7), (4,)), glossy(blooms[2], 0.6)),
        Part("round_heart", placed(ball(0.06, 0.6, 16).at(z=0.02), (4,)), matte(blooms[1])),
    ]


def snowman(rng: np.random.Generator) -> list[Part]:
    """A snowman with scarf, hat, carrot nose and twig arms."""
    scarf, hat, third = trio(rng)
    low, middle, top = rng.uniform(0.36, 0.42), rng.uniform(0.27, 0.31), rng.uniform(0.21, 0.24)
    waist, chin = low * 1.75, low * 1.75 + middle * 1.5
    head = chin + top * 0.75
    snow = joined([ball(low, 0.92, 36).at(z=low * 0.92), ball(middle, 1, 34).at(z=waist + middle * 0.4)])
    face = [(x, -top * 0.92, head + 0.07) for x in (-0.085, 0.085)]
    buttons = [(0, -middle * 0.99, waist + middle * 0.4 + dz) for dz in (-0.07, 0.07)]
    carrot = tube(
        [(0, -top * 0.9, head), (0, -top * 0.9 - 0.15, head - 0.01), (0, -top - 0.24, head - 0.03)], [0.05, 0.03, 0.004]
    )
    wave = float(rng.choice([-1, 1]))
    shoulder = waist + middle * 0.55
    arms = [_twig(wave, middle * 0.9, shoulder, 0.3), _twig(-wave, middle * 0.9, shoulder, -0.12)]
    brim_height = head + top * 0.78
    cloth = printed(bands((scarf, WHITE) * 3, (0.2, 0.35, 0.5, 0.65, 0.85)), 0.9)
    tail = tube(bezier([(0.1, -0.2, chin), (0.16, -0.36, chin - 0.05), (0.15, -0.33, chin - 0.3)], 10), 0.05)
    return [
        Part("snow", snow, matte((0.93, 0.95, 0.98))),
        Part("head", ball(top, 1, 32).at(z=head), matte((0.93, 0.95, 0.98))),
        Part("scarf", joined([ring(top * 0.92, 0.07).at(z=chin + 0.02), tail]), cloth),
        Part("eyes", joined([ball(0.032, 1, 14).at(*place) for place in face]), glossy(INK)),
        Part("buttons", joined([ball(0.04, 1, 14).at(*place) for place in buttons]), glossy(third)),
        Part("nose", carrot, matte(hsv(0.07, 0.95, 0.98))),
        Part("arms", joined(arms), matte((0.35, 0.22, 0.12))),
        Part("brim", cylinder(top * 1.25, 0.035, 0.012).at(z=brim_height), glossy(hat, 0.6)),
        Part("hat", cylinder(top * 0.85, 0.28, 0.02).at(z=brim_height), glossy(hat, 0.6)),
        Part("band", cylinder(top * 0.87, 0.07).at(z=brim_height + 0.035), printed(any_pattern(rng, WHITE, third))),
    ]


def _twig(side: float, start: float, height: float, rise: float) -> Shape:
    """An arm with two fingers."""
    elbow, end = (
        np.array([side * (start + 0.2), 0, height + rise * 0.4]),
        np.array([side * (start + 0.38), 0, height + rise]),
    )
    path: Floats = np.stack([np.array([side * start * 0.8, 0, height]), elbow, end])
    finger = tube([elbow, elbow + np.array([side * 0.05, -0.02, 0.12])], [0.016, 0.008], 8)
    return joined([tube(path, [0.026, 0.02, 0.012], 10), finger])
