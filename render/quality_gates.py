"""Quality gates: what is wrong with a rendered view, by name, and when that is too much for its object."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from render.cameras import Camera
from render.config import GateConfig, GatesConfig
from render.errors import Unrenderable
from render.images import Rgba, coverage
from render.passes import View

LOWER_BOUNDS = {"empty", "black"}
"""A view fails these below the limit, the others above."""
COVERED = 127
"""Alpha above which a pixel belongs to the object."""


def measures(rgba: Rgba) -> dict[str, float]:
    """What the gates look at, each from 0 to 1: one value per field of GatesConfig.

    empty: share of the picture that the object covers (the mean of alpha); clipped: share of the border's pixels that
    it covers; black: brightness of its brightest percent, the largest channel of each pixel; blown: share of its pixels
    that are 255 in all channels. An object that covers no pixel is not black and not blown.
    """
    alpha, covered = rgba[..., 3], rgba[rgba[..., 3] > COVERED][:, :3]
    border = np.concatenate([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
    return {
        "empty": coverage(rgba),
        "clipped": float((border > COVERED).mean()),
        "black": float(np.quantile(covered.max(axis=1), 0.99) / 255) if len(covered) else 1.0,
        "blown": float((covered.min(axis=1) == 255).mean()) if len(covered) else 0.0,
    }


class Inspection:
    """Watches the views of one object as they come; `flags` names, per gate, the views that failed it."""

    def __init__(self, config: GatesConfig, num_views: int) -> None:
        self.flags: dict[str, list[str]] = {}
        self._config = config
        self._num_views = num_views

    def watch(self, cameras: Sequence[Camera], views: Iterable[View]) -> Iterator[View]:
        """Hand the views on, one per camera, after a look at each."""
        for camera, view in zip(cameras, views, strict=True):
            self.look(camera.name, view.rgba)
            yield view

    def look(self, name: str, rgba: Rgba) -> None:
        """Take note of one view.

        Raises Unrenderable as soon as more of the object's views failed a gate than the gate allows.
        """
        values = measures(rgba)
        for gate, value in values.items():
            bound: GateConfig = getattr(self._config, gate)
            if value < bound.limit if gate in LOWER_BOUNDS else value > bound.limit:
                self.flags.setdefault(gate, []).append(name)
                failed = len(self.flags[gate])
                if failed > bound.max_share * self._num_views:
                    raise Unrenderable(
                        f"{gate}: {failed} of {self._num_views} views failed this gate, more than a share of "
                        f"{bound.max_share:g}; {name} has {value:.4f}, the limit is {bound.limit:g}"
                    )


def facts(flags: Mapping[str, list[str]]) -> dict[str, Any]:
    """What the ledger says of an object's flagged views; nothing when there are none."""
    return {"flags": dict(flags)} if flags else {}
