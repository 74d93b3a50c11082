"""Things of a room: chair, table, desk lamp, alarm clock, stack of books."""

import numpy as np

from tasks.sources.procedural.colours import (
    BRASS,
    INK,
    LEAF,
    STEEL,
    WHITE,
    Colour,
    darker,
    hsv,
    pale,
    timber,
    trio,
    vivid,
)
from tasks.sources.procedural.fruit import apple, apple_hue, stalk
from tasks.sources.procedural.parts import Finish, Part, glossy, matte, metal, printed
from tasks.sources.procedural.patterns import any_pattern, bands, plaid, stripes, wood
from tasks.sources.procedural.pictures import clock_face, cover, spine
from tasks.sources.procedural.shape import Shape, joined
from tasks.sources.procedural.solids import ball, box, circle, cylinder, lathe, prism, ring, tube, vessel


def _legs(width: float, depth: float, height: float, radius: float, splay: float) -> Shape:
    """Four tapered legs under a top of `width` by `depth`."""
    corners = [(x * width / 2, y * depth / 2) for x in (-1, 1) for y in (-1, 1)]
    return joined([tube([(x * splay, y * splay, 0), (x, y, height)], [radius * 0.6, radius]) for x, y in corners])


def chair(rng: np.random.Generator) -> list[Part]:
    """A kitchen chair with a cushion; the back rest is behind."""
    fabric, _, frame = trio(rng)
    seat, width = rng.uniform(0.46, 0.54), rng.uniform(0.56, 0.68)
    back, lean = rng.uniform(0.60, 0.75), rng.uniform(0.05, 0.13)
    is_timber = rng.uniform() < 0.5
    finish = printed(wood(rng, timber(rng))) if is_timber else glossy(frame)
    post_x, post_y = width / 2 - 0.05, width / 2 - 0.04
    posts = [tube([(x, post_y, seat), (x, post_y + lean, seat + back)], 0.035) for x in (-post_x, post_x)]
    num_slats = int(rng.integers(2, 5))
    heights = seat + back * np.linspace(0.35, 0.92, num_slats)
    slats = [
        box(width - 0.06, 0.035, 0.45 * back / num_slats, 0.012).at(0, post_y + lean * (z - seat) / back, z - 0.05)
        for z in heights
    ]
    pattern = (
        plaid(pale(rng), fabric, int(rng.integers(3, 6)))
        if rng.uniform() < 0.5
        else any_pattern(rng, pale(rng), fabric)
    )
    knobs = [ball(0.048, 1, 16).at(x, post_y + lean, seat + back + 0.02) for x in (-post_x, post_x)]
    return [
        Part("seat", box(width, width, 0.06, 0.025).at(z=seat - 0.03), finish),
        Part("legs", _legs(width - 0.1, width - 0.1, seat, 0.042, rng.uniform(1.0, 1.2)), finish),
        Part("posts", joined(posts), finish),
        Part("slats", joined(slats), finish),
        Part("cushion", box(width * 0.9, width * 0.86, 0.085, 0.04).at(0, -0.02, seat + 0.025), printed(pattern, 0.9)),
        Part("knobs", joined(knobs), metal(BRASS) if is_timber else glossy(fabric)),
    ]


def table(rng: np.random.Generator) -> list[Part]:
    """A desk with a drawer in front; a runner, a plate and an apple on top."""
    cloth, china, fruit = trio(rng)
    width, depth, high = rng.uniform(1.1, 1.35), rng.uniform(0.62, 0.75), rng.uniform(0.62, 0.72)
    tone = timber(rng)
    board, front = printed(wood(rng, tone, 5)), printed(wood(rng, darker(tone, 0.75), 3))
    place = rng.uniform(0.25, 0.35) * float(rng.choice([-1, 1]))
    runner = box(0.42, depth + 0.02, 0.016, 0.006)
    flaps = [box(0.42, 0.016, 0.2, 0.006).at(0, y, high - 0.14) for y in (-depth / 2 - 0.014, depth / 2 + 0.014)]
    fabric = printed(any_pattern(rng, pale(rng), cloth), 0.9)
    plate = lathe([(0, 0), (0.1, 0), (0.19, 0.035), (0.185, 0.045), (0.1, 0.015), (0, 0.015)])
    return [
        Part("top", box(width, depth, 0.06, 0.02).at(z=high), board),
        Part("legs", _legs(width - 0.14, depth - 0.14, high, 0.05, 1.0), front),
        Part("drawer", box(width - 0.26, depth - 0.12, 0.15, 0.01).at(z=high - 0.15), front),
        Part(
            "knobs",
            joined([ball(0.032, 1, 16).at(x, -depth / 2 + 0.04, high - 0.075) for x in (-0.36, 0.36)]),
            metal(BRASS),
        ),
        Part("runner", joined([runner.at(z=high + 0.058), *flaps]).at(-place), fabric),
        Part("plate", plate.at(place, 0, high + 0.06), glossy(china, 0.2)),
        Part("apple", apple(0.125).at(place, 0, high + 0.065), glossy(vivid(rng, apple_hue(rng)), 0.25)),
        Part("stalk", stalk(0.125).at(place, 0, high + 0.065), matte(darker(fruit))),
    ]


def lamp(rng: np.random.Generator) -> list[Part]:
    """A desk lamp with two arms, bent to the right."""
    main, second, third = trio(rng)
    elbow = np.array([-rng.uniform(0.22, 0.34), 0.0, rng.uniform(0.52, 0.62)])
    wrist = elbow + np.array([rng.uniform(0.42, 0.52), 0.0, rng.uniform(0.26, 0.36)])
    tilt = rng.uniform(25, 45)
    wide = rng.uniform(0.27, 0.33)
    shade = vessel([(0.085, 0.0), (0.11, 0.1), (wide * 0.8, 0.25), (wide, 0.40)], 0.02).turned("y", 180 - tilt)
    start = wrist - [0.0, 0.0, 0.02]
    pattern = (
        bands((main, WHITE, main, WHITE, main), (0.35, 0.45, 0.72, 0.85))
        if rng.uniform() < 0.5
        else stripes(main, pale(rng), 14)
    )
    bulb = ball(0.12, 1.15, 20).at(z=0.24).turned("y", 180 - tilt).at(*start)
    joints = [ball(0.055, 1, 18).at(*elbow), ball(0.05, 1, 18).at(*wrist), ball(0.06, 1, 18).at(0, 0, 0.1)]
    arms = [tube([(0, y, 0.08), elbow + np.array([0, y, 0])], 0.02, 12) for y in (-0.03, 0.03)]
    return [
        Part("base", cylinder(rng.uniform(0.26, 0.32), 0.075, 0.025, 44), glossy(second)),
        Part("button", cylinder(0.045, 0.04, 0.01, 20).at(0.0, -0.17, 0.065), glossy(third)),
        Part("lower_arm", joined(arms), metal(STEEL)),
        Part("upper_arm", tube([elbow, wrist], 0.024, 12), metal(STEEL)),
        Part("joints", joined(joints), glossy(third)),
        Part("shade", shade.at(*start), printed(pattern, 0.35)),
        Part("bulb", bulb, glossy((1.0, 0.93, 0.6), 0.2)),
    ]


def clock(rng: np.random.Generator) -> list[Part]:
    """An alarm clock with two bells; the dial is in front, the key behind."""
    main, second, accent = trio(rng)
    radius, depth = rng.uniform(0.42, 0.48), rng.uniform(0.24, 0.34)
    middle = radius + 0.12
    face = printed(clock_face(rng, pale(rng, 0.13), accent), 0.5)
    drum = cylinder(radius, depth, 0.03, 48).turned("x", 90).at(0, depth / 2, middle)
    dial = prism(circle(radius * 0.9, 48), 0.02).turned("x", 90).at(0, -depth / 2 + 0.004, middle)
    bezel = ring(radius * 0.92, 0.035, 48).turned("x", 90).at(0, -depth / 2, middle)
    dome = lathe([(0, 0), (0.19, 0), (0.18, 0.06), (0.12, 0.13), (0, 0.16)], 32)
    bells = [dome.turned("y", side * 32).at(side * radius * 0.58, 0, middle + radius * 0.86) for side in (-1, 1)]
    feet = [
        tube([(side * radius * 0.5, 0, middle - radius * 0.8), (side * radius * 0.8, 0, 0.03)], [0.05, 0.035])
        for side in (-1, 1)
    ]
    hammer = joined(
        [
            tube([(0, 0, middle + radius), (0, 0, middle + radius + 0.2)], 0.016, 8),
            ball(0.05, 1, 16).at(0, 0, middle + radius + 0.2),
        ]
    )
    handle = tube(
        [
            (-0.17, 0, middle + radius + 0.16),
            (-0.12, 0, middle + radius + 0.32),
            (0.12, 0, middle + radius + 0.32),
            (0.17, 0, middle + radius + 0.16),
        ],
        0.018,
        10,
    )
    key = box(0.16, 0.02, 0.09, 0.008).at(0, depth / 2 + 0.08, middle - 0.05)
    shaft = cylinder(0.025, 0.1, 0, 16).turned("x", -90).at(0, depth / 2, middle)
    return [
        Part("drum", drum, glossy(main)),
        Part("dial", dial, face),
        Part("bezel", bezel, metal(BRASS if rng.uniform() < 0.5 else STEEL)),
        Part("bells", joined(bells), metal(hsv(0.12, 0.5, 0.95), 0.2)),
        Part("feet", joined(feet), glossy(second)),
        Part("hammer", hammer, glossy(INK)),
        Part("handle", handle, metal(STEEL)),
        Part("key", joined([key, shaft]), glossy(accent)),
    ]


def _book(rng: np.random.Generator, size: tuple[float, float, float], cloth: Colour, words: str) -> list[Part]:
    """A closed book lying on its back, its spine in front."""
    width, depth, height = size
    mark = pale(rng, 0.13)
    lids = joined([box(width, depth, 0.022, 0.008).at(z=z) for z in (0, height - 0.022)])
    back = box(width, 0.03, height, 0.012).at(0, -depth / 2 + 0.005)
    leaf = printed(bands((WHITE, darker(WHITE, 0.82)) * 8, tuple(np.arange(1, 16) / 16)), 0.9)
    block = box(width - 0.05, depth - 0.04, height - 0.04, 0.004).at(0, -0.005, 0.02)
    return [
        Part("cover", lids, printed(cover(words, cloth, mark), 0.6)),
        Part("spine", back, printed(spine(words, cloth, mark), 0.6)),
        Part("pages", block, leaf),
    ]


def books(rng: np.random.Generator) -> list[Part]:
    """A stack of books with an apple on it."""
    titles = list(rng.permutation(["ATLAS", "MATHS", "POEMS", "BIRDS", "LOGIC", "MUSIC"]))
    hue, level, parts = rng.uniform(), 0.0, []
    for number in range(int(rng.integers(3, 6))):
        size = (rng.uniform(0.78, 1.0), rng.uniform(0.56, 0.72), rng.uniform(0.12, 0.2))
        turn = rng.uniform(-22, 22)
        book = _book(rng, size, vivid(rng, hue + number * 0.23), str(titles[number]))
        parts += [Part(part.name, part.shape.turned("z", turn).at(z=level), part.finish) for part in book]
        level += size[2]
    leaf = ball(0.08, 0.2, 14).scaled(1, 0.5, 1).turned("y", -20).at(0.1, 0, 0.37)
    place = (rng.uniform(-0.15, 0.15), 0.0, level)
    extras: list[tuple[str, Shape, Finish]] = [
        ("apple", apple(0.18), glossy(vivid(rng, apple_hue(rng)), 0.25)),
        ("stalk", stalk(0.18), matte((0.3, 0.2, 0.1))),
        ("leaf", leaf, matte(LEAF)),
    ]
    return [*parts, *(Part(name, shape.at(*place), finish) for name, shape, finish in extras)]
