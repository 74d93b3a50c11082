"""The solids that objects are made of: turned, swept, cut and boxed. Each stands on z = 0 unless it says otherwise."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tasks.sources.procedural.shape import Floats, Shape, joined, sheet

Profile = Sequence[tuple[float, float]]
"""Points (radius, height)."""


def lathe(profile: Profile, segments: int = 40, v_by: Literal["length", "height"] = "height") -> Shape:
    """Return `profile`, listed from below to above on the outside, turned about Z; u = 0.5 is the front."""
    points = np.asarray(profile, dtype=np.float64)
    radius, height = points[:, 0], points[:, 1]
    u = np.linspace(0.0, 1.0, segments + 1)
    angle = np.pi / 2 + 2 * np.pi * u
    angle[-1] = angle[0]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    v = np.concatenate([[0.0], np.cumsum(steps)]) if v_by == "length" else height - height.min()
    x, y = radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle)
    grid = np.stack([x, y, np.broadcast_to(height[:, None], x.shape)], axis=-1)
    return sheet(grid, np.stack(np.broadcast_arrays(u[None, :], (v / v.max())[:, None]), axis=-1))


def vessel(outer: Profile, thickness: float, segments: int = 40) -> Shape:
    """Return an open pot: `outer` from foot to rim, with a wall and a floor of `thickness`."""
    foot = outer[0][1]
    inner = [(max(r - thickness, 0.01), max(z, foot + thickness)) for r, z in reversed(outer)]
    return lathe([(0.0, foot), *outer, *inner, (0.0, foot + thickness)], segments)


def cylinder(radius: float, height: float, bevel: float = 0.0, segments: int = 32) -> Shape:
    """Return a round disc or post, its two edges cut by `bevel`."""
    rim = [(radius - bevel, 0.0), (radius, bevel), (radius, height - bevel), (radius - bevel, height)]
    return lathe([(0.0, 0.0), *(rim if bevel else [rim[0], rim[2]]), (0.0, height)], segments)


def ball(radius: float, squash: float = 1.0, segments: int = 28) -> Shape:
    """Return a sphere about the origin, its height times `squash`."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    rings = np.stack([radius * np.cos(angle), radius * squash * np.sin(angle)], axis=-1)
    rings[[0, -1], 0] = 0.0
    return lathe([(float(r), float(z)) for r, z in rings], segments, v_by="length")


def ring(radius: float, thickness: float, segments: int = 36) -> Shape:
    """Return a torus about Z, centred on the origin; `thickness` is the radius of its tube."""
    angle = np.linspace(-np.pi, np.pi, 13)
    section = [(radius + thickness * float(np.cos(a)), thickness * float(np.sin(a))) for a in angle]
    return lathe([*section[:-1], section[0]], segments, v_by="length")


def bezier(controls: ArrayLike, count: int = 18) -> Floats:
    """Return `count` points (N, 3) on the Bezier curve of the control points."""
    points: Floats = np.repeat(np.asarray(controls, dtype=np.float64)[None], count, axis=0)
    t: Floats = np.linspace(0.0, 1.0, count)[:, None, None]
    while points.shape[1] > 1:
        points = points[:, :-1] * (1 - t) + points[:, 1:] * t
    return points[:, 0]


def tube(path: ArrayLike, radius: float | Sequence[float], segments: int = 14) -> Shape:
    """Return a rod along `path` (N, 3), where it lies; `radius` is one number or is spread from start to end."""
    points = np.asarray(path, dtype=np.float64)
    knots = np.atleast_1d(np.asarray(radius, dtype=np.float64))
    radii = np.interp(np.linspace(0, 1, len(points)), np.linspace(0, 1, len(knots)), knots)
    tangents = np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    normals = _carried(tangents)
    sides = np.cross(tangents, normals)
    u = np.linspace(0.0, 1.0, segments + 1)
    angle = 2 * np.pi * u
    angle[-1] = angle[0]
    spokes = np.cos(angle)[:, None] * normals[:, None] + np.sin(angle)[:, None] * sides[:, None]
    rows = points[:, None] + radii[:, None, None] * spokes
    ends = [np.repeat(points[[end]][None], segments + 1, axis=1) for end in (0, -1)]
    v = np.linspace(0.0, 1.0, len(points))
    v = np.concatenate([[0.0], v, [1.0]])
    uv = np.stack(np.broadcast_arrays(u[None, :], v[:, None]), axis=-1)
    return sheet(np.concatenate([ends[0], rows, ends[1]]), uv)


def _carried(tangents: Floats) -> Floats:
    """A normal for each tangent (N, 3), turning as little as possible along the way."""
    helper = np.eye(3)[int(np.argmin(np.abs(tangents[0])))]
    normal = np.cross(tangents[0], helper)
    normals = []
    for tangent in tangents:
        normal = normal - tangent * (normal @ tangent)
        normal = normal / np.linalg.norm(normal)
        normals.append(normal)
    return np.stack(normals)


def prism(outline: ArrayLike, height: float, bevel: float = 0.0) -> Shape:
    """Return a slab whose plan is `outline` (N, 2), counter-clockwise and visible as a whole from the origin.

    The top and the bottom show the image laid over the outline's bounding box, the wall shows it unrolled.
    """
    plan = np.asarray(outline, dtype=np.float64)
    plan = np.concatenate([plan, plan[:1]])
    shrink = 1 - bevel / np.abs(plan).max()
    levels = [(shrink, 0.0), (1.0, bevel), (1.0, height - bevel), (shrink, height)] if bevel else [(1, 0), (1, height)]
    wall = np.stack([np.concatenate([plan * s, np.full((len(plan), 1), z)], axis=1) for s, z in levels])
    around = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(plan, axis=0), axis=1))])
    v = np.array([z for _, z in levels]) / height
    wall_uv = np.stack(np.broadcast_arrays((around / around[-1])[None, :], v[:, None]), axis=-1)
    low, high = plan.min(axis=0), plan.max(axis=0)
    centre = np.zeros_like(plan)
    lid_uv = (np.stack([plan * levels[0][0], centre]) - low) / (high - low)
    top, bottom = (np.concatenate([np.stack([plan * shrink if bevel else plan, centre]),
                                   np.full((2, len(plan), 1), z)], axis=2) for z in (height, 0.0))  # fmt: skip
    return joined([sheet(wall, wall_uv), sheet(top, lid_uv), sheet(bottom[::-1], lid_uv[::-1])])


_BOX_SIDES = (((1, 0, 0), (0, 0, 1)), ((0, 1, 0), (0, 0, 1)), ((-1, 0, 0), (0, 0, 1)),
              ((0, -1, 0), (0, 0, 1)), ((1, 0, 0), (0, 1, 0)), ((1, 0, 0), (0, -1, 0)))  # fmt: skip
"""Right and up of each side: front, right, back, left, top, bottom."""


def box(width: float, depth: float, height: float, radius: float = 0.02) -> Shape:
    """Return a box along X, Y, Z with edges rounded by `radius`; every side shows the whole image."""
    half = np.array([width, depth, height]) / 2
    bend = np.linspace(0.0, 1.0, 4) * radius
    core = half - radius
    sides = []
    for right, up in _BOX_SIDES:
        a, b = np.array(right, dtype=np.float64), np.array(up, dtype=np.float64)
        across, along = (np.concatenate([bend - e, e - bend[::-1]]) for e in (np.abs(a) @ half, np.abs(b) @ half))
        flat = across[None, :, None] * a + along[:, None, None] * b + np.cross(a, b) * half
        inner = np.clip(flat, -core, core)
        out = flat - inner
        points = inner + radius * out / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-12)
        u, v = across / (2 * across[-1]) + 0.5, along / (2 * along[-1]) + 0.5
        sides.append(sheet(points, np.stack(np.broadcast_arrays(u[None, :], v[:, None]), axis=-1)))
    return joined(sides).at(z=height / 2)
