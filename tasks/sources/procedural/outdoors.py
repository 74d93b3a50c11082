"""House, guitar, watering can, gift box."""

import numpy as np

from tasks.sources.procedural.colours import (
    BRASS,
    INK,
    LEAF,
    STEEL,
    WHITE,
    darker,
    hsv,
    mixed,
    pale,
    timber,
    trio,
    vivid,
)
from tasks.sources.procedural.parts import Part, glossy, matte, metal, printed
from tasks.sources.procedural.patterns import any_pattern, bricks, checks, shingles, stripes, wood
from tasks.sources.procedural.pictures import window
from tasks.sources.procedural.shape import Shape, joined
from tasks.sources.procedural.solids import ball, bezier, box, cylinder, lathe, prism, ring, tube, vessel


def house(rng: np.random.Generator) -> list[Part]:
    """A cottage: door, windows and path in front, a chimney on one side."""
    main, second, door = trio(rng)
    width, depth, wall = rng.uniform(0.82, 0.98), rng.uniform(0.62, 0.76), rng.uniform(0.42, 0.52)
    rise, floor = rng.uniform(0.34, 0.46), 0.06
    eaves = floor + wall
    gable = np.array([(-depth / 2, -rise / 3), (depth / 2, -rise / 3), (0, rise * 2 / 3)])
    attic = prism(gable, width).turned("x", 90).turned("z", 90).at(-width / 2, 0, eaves + rise / 3)
    slope = float(np.degrees(np.arctan2(rise, depth / 2)))
    side = float(np.hypot(rise, depth / 2)) + 0.1
    slab = box(width + 0.14, side, 0.05, 0.012).at(0, -side / 2, 0)
    roofs = [slab.turned("x", slope).turned("z", turn).at(z=eaves + rise) for turn in (0, 180)]
    brick = printed(bricks(mixed(main, (0.9, 0.6, 0.4), 0.3), WHITE, 10, 10), 0.85)
    panes = [box(0.17, 0.04, 0.19, 0.01).at(x, -depth / 2, floor + wall * 0.42) for x in (-width * 0.33, width * 0.33)]
    panes += [
        box(0.17, 0.04, 0.19, 0.01).turned("z", 90).at(x, 0, floor + wall * 0.42) for x in (-width / 2, width / 2)
    ]
    panes += [box(0.2, 0.04, 0.19, 0.01).at(0, depth / 2, floor + wall * 0.42)]
    stack = float(rng.choice([-1, 1])) * width * 0.28
    bushes = [
        ball(rng.uniform(0.09, 0.13), 0.85, 16).at(x, y, floor + 0.06)
        for x, y in ((-width * 0.42, -depth * 0.66), (width * 0.40, -depth * 0.64), (width * 0.64, 0.1))
    ]
    top = eaves + rise
    return [
        Part("lawn", cylinder(0.78, floor, 0.02, 48), matte(LEAF)),
        Part("walls", box(width, depth, wall, 0.01).at(z=floor), brick),
        Part("gables", attic, brick),
        Part("roof", joined(roofs), printed(shingles(darker(second, 0.6), second, 9, 8), 0.7)),
        Part(
            "door", box(0.2, 0.05, 0.32, 0.012).at(0, -depth / 2, floor), printed(stripes(door, darker(door, 0.7), 4))
        ),
        Part("knob", ball(0.02, 1, 12).at(0.06, -depth / 2 - 0.035, floor + 0.15), metal(BRASS)),
        Part("windows", joined(panes), printed(window(WHITE, hsv(0.55, 0.45, 0.75)), 0.2)),
        Part("chimney", box(0.14, 0.14, 0.34, 0.01).at(stack, depth * 0.16, top - 0.2), brick),
        Part("smoke_pot", cylinder(0.05, 0.07, 0.01, 16).at(stack, depth * 0.16, top + 0.13), matte(INK)),
        Part("path", box(0.2, 0.36, 0.02, 0.005).at(0, -depth / 2 - 0.14, floor - 0.005), matte(pale(rng, 0.1))),
        Part("bushes", joined(bushes), matte(darker(LEAF, 0.8))),
        Part(
            "flowers",
            joined([ball(0.03, 1, 10).at(x, -depth * 0.78, floor + 0.1) for x in (-0.36, -0.27, 0.27, 0.36)]),
            glossy(vivid(rng), 0.6),
        ),
    ]


def guitar(rng: np.random.Generator) -> list[Part]:
    """An acoustic guitar standing on its end, strings in front."""
    main, second, _ = trio(rng)
    tone = mixed(timber(rng), main, rng.uniform(0.2, 0.8))
    rise = -0.46 * np.cos(np.linspace(0.0, np.pi, 41))
    waist = rng.uniform(0.12, 0.16) * np.exp(-(((rise - 0.10) / 0.11) ** 2))
    half = (np.clip(1 - (rise / 0.46) ** 2, 0, 1) ** 0.42) * (0.38 - 0.17 * (rise + 0.3).clip(0) - waist)
    right = np.stack([half, rise], axis=-1)
    plan = np.concatenate([right, (right * [-1, 1])[-2:0:-1]])
    foot, depth = float(-plan[:, 1].min()), rng.uniform(0.16, 0.21)

    def upright(shape: Shape, y: float) -> Shape:
        return shape.turned("x", 90).at(0, y, foot)

    neck_end, board = foot + 0.92, -depth / 2 - 0.015
    strings = [
        tube([(x, board - 0.025, foot - 0.17), (x, board - 0.025, neck_end)], 0.0045, 6)
        for x in np.linspace(-0.03, 0.03, 6)
    ]
    pegs = [
        ball(0.026, 0.7, 12).at(side * 0.075, -0.06, neck_end + 0.05 + 0.06 * row)
        for side in (-1, 1)
        for row in range(3)
    ]
    frets = [box(0.075, 0.01, 0.006, 0.001).at(0, board - 0.013, foot + z) for z in np.linspace(0.34, 0.86, 8)]
    return [
        Part("body", upright(prism(plan, depth, 0.015), depth / 2), glossy(darker(tone, 0.7))),
        Part("top", upright(prism(plan * 0.95, 0.012), -depth / 2 + 0.004), printed(wood(rng, tone, 9), 0.3)),
        Part("hole", cylinder(0.095, 0.012).turned("x", 90).at(0, -depth / 2 - 0.006, foot + 0.06), matte(INK)),
        Part("rosette", ring(0.105, 0.014).turned("x", 90).at(0, -depth / 2 - 0.008, foot + 0.06), glossy(second)),
        Part("neck", box(0.08, 0.06, 0.76, 0.015).at(0, -depth / 2 + 0.02, foot + 0.2), glossy(darker(tone, 0.55))),
        Part("board", box(0.076, 0.025, 0.72, 0.005).at(0, board, foot + 0.2), matte(darker(tone, 0.3))),
        Part("frets", joined(frets), metal(BRASS)),
        Part("head", box(0.13, 0.045, 0.22, 0.015).at(0, -depth / 2 + 0.02, neck_end), printed(wood(rng, tone))),
        Part("pegs", joined(pegs), metal(STEEL)),
        Part("bridge", box(0.2, 0.03, 0.04, 0.01).at(0, -depth / 2 - 0.01, foot - 0.2), matte(darker(tone, 0.3))),
        Part("strings", joined(strings), metal(STEEL)),
        Part(
            "guard",
            cylinder(0.1, 0.008).scaled(0.7, 1.25, 1).turned("x", 90).at(0.15, -depth / 2 - 0.006, foot - 0.04),
            glossy(second, 0.2),
        ),
    ]


def watering_can(rng: np.random.Generator) -> list[Part]:
    """A watering can; the rose points to the left."""
    main, second, third = trio(rng)
    wide, high = rng.uniform(0.33, 0.38), rng.uniform(0.50, 0.58)
    body = [(wide * 0.95, 0.0), (wide, 0.05), (wide * 0.9, high * 0.5), (wide * 0.84, high)]
    spout = bezier([(-wide * 0.7, 0, 0.12), (-wide - 0.25, 0, 0.2), (-wide - 0.42, 0, high * 1.25)], 18)
    end = spout[-1]
    rose = [(0.0, -0.06), (0.05, -0.06), (0.13, 0.06), (0.12, 0.085), (0.0, 0.085)]
    grip = bezier(
        [(-wide * 0.4, 0, high - 0.02), (-0.1, 0, high + 0.55), (wide + 0.5, 0, high + 0.15), (wide * 0.9, 0, 0.12)], 26
    )
    return [
        Part("body", vessel(body, 0.025), printed(any_pattern(rng, main, pale(rng)), 0.4)),
        Part("water", cylinder(wide * 0.83, 0.02).at(z=high * 0.75), glossy(hsv(0.55, 0.6, 0.8), 0.05)),
        Part("lid", joined([ring(wide * 0.84, 0.025).at(z=high), ring(wide, 0.022).at(z=0.04)]), metal(STEEL)),
        Part("spout", tube(spout, [0.09, 0.065, 0.045]), glossy(second)),
        Part("rose", lathe(rose, 28).turned("y", -38).at(*end), metal(BRASS)),
        Part("handle", tube(grip, 0.036), glossy(third)),
    ]


def gift(rng: np.random.Generator) -> list[Part]:
    """A wrapped box with a bow and a hanging tag in front."""
    main, second, tag = trio(rng)
    width, depth, high = rng.uniform(0.62, 0.85), rng.uniform(0.55, 0.75), rng.uniform(0.45, 0.7)
    lid = 0.15
    top = high + 0.012
    paper = printed(any_pattern(rng, main, pale(rng)), 0.4)
    ribbons = [box(0.12, depth + 0.02, high, 0.005), box(width + 0.02, 0.12, high, 0.005)]
    over = [box(0.125, depth + 0.075, lid + 0.006, 0.005), box(width + 0.075, 0.125, lid + 0.006, 0.005)]
    loop = bezier([(0.01, 0, 0), (0.42, 0, 0.42), (0.5, 0, -0.1), (0.01, 0, 0.02)], 20)
    bow = tube(loop, [0.03, 0.05, 0.06, 0.05, 0.03], 12).scaled(1, 1.6, 1)
    bows = [bow.turned("z", turn).at(z=top) for turn in (25, 155, 205, 335)]
    card = box(0.2, 0.014, 0.14, 0.004).turned("y", 12).at(-width * 0.26, -depth / 2 - 0.045, high * 0.45)
    cord = tube([(-width * 0.24, -depth / 2 - 0.04, high * 0.62), (-0.02, -depth / 2 - 0.045, high - 0.02)], 0.01, 8)
    return [
        Part("box", box(width, depth, high - 0.02, 0.012), paper),
        Part(
            "lid", box(width + 0.055, depth + 0.055, lid, 0.015).at(z=high - lid), glossy(mixed(main, WHITE, 0.15), 0.4)
        ),
        Part("ribbon", joined([*ribbons, *(shape.at(z=high - lid) for shape in over)]), glossy(second, 0.35)),
        Part("bow", joined(bows), glossy(second, 0.35)),
        Part("knot", ball(0.085, 0.8, 18).at(z=top + 0.03), glossy(darker(second, 0.85))),
        Part("tag", card, printed(checks(WHITE, tag, 1, 1), 0.7)),
        Part("cord", cord, metal(BRASS)),
    ]
