"""Checks and mends how the nodes of a glTF file stand, before Blender's importer places them."""

from typing import Any

import numpy as np

from render.errors import Unrenderable


def require_finite_transforms(nodes: list[Any]) -> None:
    """Raise Unrenderable when a node stands nowhere: a number of its transform is beyond single precision."""
    for index, node in enumerate(nodes):
        numbers = [*(node.matrix or ()), *(node.translation or ()), *(node.rotation or ()), *(node.scale or ())]
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(np.asarray(numbers, dtype=np.float64).astype(np.float32)).all()
        if not is_finite:
            raise Unrenderable(f"the transform of node {index} ('{node.name or ''}') is not finite")


def mend_rotations(nodes: list[Any]) -> None:
    """Take away rotations of length 0, which turn nothing in viewers and by half a turn in Blender's importer."""
    for node in nodes:
        if node.rotation is not None and not any(node.rotation):
            node.rotation = None
