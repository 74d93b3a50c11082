"""Quality gates: flags views that show too little, and rejects objects with too many of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from render.cameras import Camera
from render.config import GateConfig, GatesConfig
from render.errors import Unrenderable
from render.images import COVERED, Rgba, coverage
from render.passes import View

LOWER_BOUNDS = {"empty", "black"}
"""Gates that a view fails below the limit; it fails the others above."""
CAUSES = {
    "empty": "parts far from the object shrink it, it is thin as a needle, it lies too far from its origin for single "
    "precision, or one sees it from behind",
    "black": "nothing of it reflects light: its colours are 0, or its normals look inwards",
}
"""What usually lets a gate fail."""


def measures(rgba: Rgba) -> dict[str, float]:
    """Measure an image (H, W, 4) for each gate of GatesConfig, by name; every value lies between 0 and 1.

    empty: share of the image that the object covers, the mean of alpha.
    clipped: share of the border's pixels that the object covers.
    black: brightness of the object's brightest percent, by the largest channel of each pixel; 1 without an object.
    blown: overexposed share, the object's pixels that are 255 in all channels; 0 without an object.
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
    """Measures the views of one object as they are rendered; `flags` names, per gate, the views that failed it."""

    def __init__(self, config: GatesConfig, num_views: int) -> None:
        self.flags: dict[str, list[str]] = {}
        self._config = config
        self._num_views = num_views

    def watch(self, cameras: Sequence[Camera], views: Iterable[View]) -> Iterator[View]:
        """Yield the views, one per camera, after measuring each.

        Raises Unrenderable as `look` does.
        """
        for camera, view in zip(cameras, views, strict=True):
            self.look(camera.name, view.rgba)
            yield view

    def look(self, name: str, rgba: Rgba) -> None:
        """Measure the view `name` and flag it where it fails a gate.

        Raises Unrenderable as soon as more of the object's views failed a gate than the gate allows.
        """
        values = measures(rgba)
        for gate, value in values.items():
            bound: GateConfig = getattr(self._config, gate)
            if value < bound.limit if gate in LOWER_BOUNDS else value > bound.limit:
                self.flags.setdefault(gate, []).append(name)
                failed = len(self.flags[gate])
                if failed > bound.max_share * self._num_views:
                    cause = f" ({CAUSES[gate]})" if gate in CAUSES else ""
                    raise Unrenderable(
                        f"{gate}: {failed} of {self._num_views} views failed this gate, more than a share of "
                        f"{bound.max_share:g}; {name} has {value:.4f}, the limit is {bound.limit:g}{cause}"
                    )


def facts(flags: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the ledger's facts of an object's flagged views; none when no view is flagged."""
    return {"flags": dict(flags)} if flags else {}
