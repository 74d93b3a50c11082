"""What letting views see each other costs, by mechanism: `python -m tests.bench.mechanism_cost`.

The paper's network with the attention of others, counted on the meta device without weights or a GPU, as model_cost
counts. One condition view is among the views.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from models.network.attention import Kernel
from models.network.multiview_unet import MultiViewUNet
from models.training.cost import fused_attention, meta_inputs, saved_by_module
from tests.bench.model_cost import PAPER, meta_unet
from tests.bench.model_methods import PeerAttention

Processors = Callable[[MultiViewUNet, Kernel], Any]
FINEST = ("down_blocks.0.", "up_blocks.3.")
"""Blocks of the network at the latents' own resolution."""


def everywhere(arrange: str) -> Processors:
    """The same attention at every level."""
    return lambda _, kernel: PeerAttention(arrange, kernel)


def below_the_finest(unet: MultiViewUNet, kernel: Kernel) -> Mapping[str, PeerAttention]:
    """All views together below the finest level, each alone at it."""
    return {
        name: PeerAttention("view" if name.startswith(FINEST) else "object", kernel)
        for name in unet.base.attn_processors
    }


CASES: tuple[tuple[str, Processors, int, int], ...] = (
    ("each view alone", everywhere("view"), 64, 9),
    ("each view alone", everywhere("view"), 64, 33),
    ("rows of all views", everywhere("row"), 64, 9),
    ("rows of all views", everywhere("row"), 64, 33),
    ("all tokens of all views, low resolution", everywhere("object"), 32, 4),
    ("all tokens of all views, low resolution", everywhere("object"), 32, 9),
    ("all tokens of all views, low resolution", everywhere("object"), 32, 33),
    ("all tokens below the finest level", below_the_finest, 64, 9),
    ("all tokens below the finest level", below_the_finest, 64, 33),
    ("all tokens of all views (the paper)", everywhere("object"), 64, 9),
    ("all tokens of all views (the paper)", everywhere("object"), 64, 33),
)
"""Mechanism, its attention, side of the latents, views."""


@dataclass(frozen=True)
class Cost:
    """Of one object: operations of a forward pass, and what a training step keeps for its backward pass."""

    tflop: float
    saved_gib: float


def count(unet: MultiViewUNet, processors: Processors, side: int, views: int) -> Cost:
    """Count one mechanism; the network keeps its processors."""
    unet.base.register_to_config(sample_size=side)
    inputs = meta_inputs(unet, 1, views, torch.float32)
    unet.base.set_attn_processor(processors(unet, scaled_dot_product_attention))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        unet(**inputs)
    unet.base.set_attn_processor(processors(unet, fused_attention))
    saved = saved_by_module(lambda: unet(**inputs), [*unet.parameters(), *inputs.values()], "cuda")
    return Cost(counter.get_total_flops() / 1e12, saved.total() / 2**30)


def main() -> None:
    """Print the table."""
    unet, table = meta_unet(PAPER), Table(title="the paper's network, bfloat16, one object")
    for column in ("mechanism", "pixels", "views", "forward, TFLOP", "kept for backward, GiB"):
        table.add_column(column)
    for name, processors, side, views in CASES:
        cost = count(unet, processors, side, views)
        table.add_row(name, f"{8 * side}", f"{views}", f"{cost.tflop:.1f}", f"{cost.saved_gib:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
