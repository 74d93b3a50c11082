"""Things of a room: chair, stack of books, guitar."""

import numpy as np

from tasks.sources.procedural.colours import (
    BRASS,
    INK,
    LEAF,
    STEEL,
    WHITE,
    Colour,
    darker,
    mixed,
    pale,
    timber,
    trio,
    vivid,
)
from tasks.sources.procedural.fruit import apple, apple_hue, stalk
from tasks.sources.procedural.motifs import cover, spine
from tasks.sources.procedural.parts import Finish, Part, glossy, matte, metal, printed
from tasks.sources.procedural.patterns import any_pattern, bands, plaid, wood
from tasks.sources.procedural.shape import Shape, joined
from tasks.sources.procedural.solids import ball, box, cylinder, prism, ring, tube


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
