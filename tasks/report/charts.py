"""Charts as inline SVG: curves over samples seen, and PSNR bars with the floors marked. Colours come from the page."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasks.report.html import Html, tag

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 24
MAX_POINTS = 240
"""Per curve; longer ones are shown as means of stretches."""
BAR_HEIGHT, BAR_GAP, NAME_WIDTH = 16, 8, 190
Point = tuple[float, float]
Place = Callable[[float, float], Point]


@dataclass(frozen=True)
class Bar:
    """One PSNR with the floors it should beat."""

    name: str
    value: float
    white: float
    copied: float
    colour: int
    """0, 1 or 2."""


def curve_chart(curves: Mapping[str, Sequence[Point]], label: str) -> Html:
    """Up to two curves over samples seen; the vertical axis is logarithmic when all values are positive."""
    thin = [shorten(points) for points in curves.values()]
    xs, ys = zip(*(point for points in thin for point in points), strict=True)
    is_log = min(ys) > 0
    scale = math.log10 if is_log else float
    low, high = scale(min(ys)), scale(max(ys))
    high = high if high > low else low + 1
    right = max(xs) or 1

    def place(x: float, y: float) -> Point:
        across = LEFT + x / right * (WIDTH - LEFT - RIGHT)
        return across, TOP + (high - scale(y)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_grid_line(low + share * (high - low), is_log, place) for share in (0, 1 / 3, 2 / 3, 1)]
    for share in (0, 0.5, 1):
        anchor = {0: "start", 0.5: "middle", 1: "end"}[share]
        across = LEFT + share * (WIDTH - LEFT - RIGHT)
        parts.append(tag("text", _short(share * right), x=f"{across:.1f}", y=HEIGHT - 7, text_anchor=anchor))
    for index, points in enumerate(thin):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        parts.append(tag("polyline", points=line, class_=f"line{index % 2}"))
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label)


def _grid_line(level: float, is_log: bool, place: Place) -> Html:
    value = 10**level if is_log else level
    y = place(0, value)[1]
    line = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid")
    return Html(line + tag("text", f"{value:.3g}", x=LEFT - 6, y=f"{y + 4:.1f}", text_anchor="end"))


def shorten(points: Sequence[Point]) -> list[Point]:
    """At most MAX_POINTS points: means over stretches of equal length."""
    step = -(-len(points) // MAX_POINTS)
    stretches = [points[start : start + step] for start in range(0, len(points), step)]
    return [(sum(x for x, _ in one) / len(one), sum(y for _, y in one) / len(one)) for one in stretches]


def _short(value: float) -> str:
    """4000 -> 4k."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def bar_chart(bars: Sequence[Bar]) -> Html:
    """Horizontal bars from 0 dB; a solid mark at the all-white floor, a dashed one at the copied condition image."""
    width, height = 720, len(bars) * (BAR_HEIGHT + BAR_GAP) + 6
    scale = (width - NAME_WIDTH - 60) / max(max(bar.value, bar.white, bar.copied) for bar in bars)
    parts = []
    for index, bar in enumerate(bars):
        y = index * (BAR_HEIGHT + BAR_GAP) + 4
        middle, end = y + BAR_HEIGHT - 4, NAME_WIDTH + scale * max(bar.value, 0)
        parts.append(tag("text", bar.name, x=NAME_WIDTH - 10, y=middle, text_anchor="end", class_="name"))
        shape: dict[str, str | int] = {
            "x": NAME_WIDTH,
            "y": y,
            "width": f"{end - NAME_WIDTH:.1f}",
            "height": BAR_HEIGHT,
            "rx": 3,
        }
        parts.append(tag("rect", class_=f"bar{bar.colour}", fill_opacity="0.75", **shape))
        for floor, style in ((bar.white, "floor"), (bar.copied, "floor dashed")):
            x = f"{NAME_WIDTH + scale * floor:.1f}"
            parts.append(tag("line", x1=x, x2=x, y1=y - 3, y2=y + BAR_HEIGHT + 3, class_=style))
        label = NAME_WIDTH + scale * max(bar.value, bar.white, bar.copied) + 8
        parts.append(tag("text", f"{bar.value:.1f} dB", x=f"{label:.1f}", y=middle))
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label="PSNR of every case")
