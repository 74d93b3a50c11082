"""Which views are near each other, for attention that spans a window of them instead of all."""

# Shapes: B object, V view, M view of a window

from typing import NamedTuple

import torch
from torch import Tensor

MOST_NEAR = 9
"""A target and those beside it: one step of azimuth and one row of elevation away at most."""


class Windows(NamedTuple):
    """The views that each view attends to."""

    index_BVM: Tensor
    """Their places in the sequence of views; where there are fewer than M, others fill up."""
    mask_BVM: Tensor
    """True where the place is meant."""


def near_views(
    view_ids_BV: Tensor, *, num_conditions: int, first_target: int, num_columns: int, view_mask_BV: Tensor | None = None
) -> Windows:
    """Find each view's window: all condition views, and for a target the targets beside it.

    Condition views attend to condition views alone, because nothing is known of where they stand.

    Args:
        view_ids_BV: Ids of the views; condition views have those below `first_target`.
        num_conditions: Largest number of condition views of an object.
        first_target: Id of target 0; the targets are ordered elevation-major, azimuth-minor.
        num_columns: Azimuths per elevation, the last beside the first.
        view_mask_BV: True where a view exists; None: everywhere.
    """
    is_condition_BV = view_ids_BV < first_target
    targets_BV = view_ids_BV - first_target
    rows_BV, columns_BV = targets_BV // num_columns, targets_BV % num_columns
    row_steps_BVV = (rows_BV[:, :, None] - rows_BV[:, None, :]).abs()
    column_steps_BVV = (columns_BV[:, :, None] - columns_BV[:, None, :]).abs()
    column_steps_BVV = torch.minimum(column_steps_BVV, num_columns - column_steps_BVV)
    are_targets_BVV = ~is_condition_BV[:, :, None] & ~is_condition_BV[:, None, :]
    is_near_BVV = (row_steps_BVV <= 1) & (column_steps_BVV <= 1) & are_targets_BVV | is_condition_BV[:, None, :]
    if view_mask_BV is not None:
        is_near_BVV = is_near_BVV & view_mask_BV[:, None, :]
    most = min(view_ids_BV.shape[1], num_conditions + MOST_NEAR)
    index_BVM = is_near_BVV.int().argsort(dim=2, descending=True, stable=True)[:, :, :most]
    return Windows(index_BVM, is_near_BVV.gather(2, index_BVM))
