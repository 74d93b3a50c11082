"""What the full-size network costs on paper: `python -m tests.bench.model_cost` (make bench-cost).

Counted on the meta device, without weights or a GPU: FLOPs (a multiplication and an addition are two), parameters, and
what a training step under CUDA's autocast to bfloat16 keeps for its backward pass, without the copies of the weights,
plain and with what saves memory. T is 10^12, GiB is 2^30 bytes.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from flows.cost import networks_of
from flows.params import load_params
from models.network.multiview_unet import MultiViewUNet
from models.network.recomputed_feed_forward import recompute_feed_forward
from models.network.rounded_norms import round_norms
from models.training.cost import count_parameters, fused_attention, meta_inputs, saved_by_module, unet_cost
from models.training.throughput import PEAKS

PAPER = Path(__file__).parents[2] / "params" / "paper.yaml"
CASES = ((1, 8), (10, 8), (1, 32), (10, 32))
"""Condition views and targets."""
KINDS = {"attn1": "self-attention", "attn2": "cross-attention", "ff": "feed-forward", "resnets": "resnets"}
OTHER = "other"
SAVINGS: dict[str, tuple[bool, bool, tuple[int, ...]]] = {
    "as it is": (False, False, ()),
    "rounded_norms": (True, False, ()),
    "recompute_feed_forward": (False, True, ()),
    "recompute_levels: [0]": (False, False, (0,)),
    "rounded_norms, recompute_feed_forward": (True, True, ()),
    "rounded_norms, recompute_levels: [0]": (True, False, (0,)),
    "rounded_norms, recompute_feed_forward, recompute_levels: [0]": (True, True, (0,)),
}
"""Keys of a profile: rounded norms, recomputed feed-forward, recomputed levels."""
LEVELS = (
    ("all", "all", "all", "all"),
    ("near", "all", "all", "all"),
    ("rows", "all", "all", "all"),
    ("none", "all", "all", "all"),
    ("none", "none", "all", "all"),
    ("near", "near", "near", "near"),
    ("rows", "rows", "rows", "rows"),
    ("none", "none", "none", "none"),
)
"""Spans of self-attention by level, the finest first (`unet.global_attention`)."""
CARDS = {"RTX 4090": PEAKS["4090"], "A100": PEAKS["A100"], "H100, H200": PEAKS["H100"]}
"""Peak of dense bfloat16 matrix products in TFLOP/s, by their makers' data sheets."""


@dataclass(frozen=True)
class Cost:
    """Of one object with so many views."""

    conditions: int
    targets: int
    forward_tflop: float
    training_tflop: float
    """Forward and backward."""
    saved_gib: float
    """Kept for the backward pass under autocast, without gradient checkpointing."""
    forward_by_part: dict[str, float]
    """TFLOP by level and kind of module, as "64 x 64, self-attention"."""
    saved_by_part: dict[str, float]
    """GiB."""


def main(words: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.model_cost", description=__doc__)
    parser.add_argument("--params", type=Path, default=PAPER)
    parser.add_argument("--attention", nargs="+", help="spans of the levels, the finest first: near all all all")
    parser.add_argument("--levels", action="store_true", help="only what each choice of spans by level costs")
    parser.add_argument("--savings", action="store_true", help="only what saves memory, and what it costs")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    arguments = parser.parse_args(words)
    if arguments.savings:
        _show_savings({name: saved_with(arguments.params, *choice) for name, choice in SAVINGS.items()})
        return
    if arguments.levels:
        _show_levels({spans: costs_of(meta_unet(arguments.params, spans)) for spans in LEVELS})
        return
    unet = meta_unet(arguments.params, arguments.attention)
    costs = [count(unet, *case) for case in CASES]
    num_parameters = count_parameters(unet)
    _show(costs, num_parameters)
    if arguments.out:
        arguments.out.write_text(json.dumps([vars(cost) for cost in costs], indent=1))


def meta_unet(params: Path, spans: Sequence[str] | None = None) -> MultiViewUNet:
    """The network of a parameter file, without weights; `spans` replace those of its self-attention."""
    networks = networks_of(load_params(params))
    if spans:
        networks = replace(networks, unet=networks.unet.model_copy(update={"global_attention": tuple(spans)}))
    return networks.meta_unet


def count(unet: MultiViewUNet, conditions: int, targets: int) -> Cost:
    """The cost of one object."""
    inputs = meta_inputs(unet, conditions, conditions + targets, torch.float32)
    with torch.no_grad(), FlopCounterMode(display=False) as forward:
        unet(**inputs)
    with FlopCounterMode(display=False) as training:
        unet(**inputs).square().mean().backward()
    unet.zero_grad(set_to_none=True)
    unet.set_attention_kernel(fused_attention, takes_masks=True)
    kept = saved_by_module(lambda: unet(**inputs), [*unet.parameters(), *inputs.values()], "cuda")
    unet.set_attention_kernel(None)
    return Cost(
        conditions,
        targets,
        forward.get_total_flops() / 1e12,
        training.get_total_flops() / 1e12,
        kept.total() / 2**30,
        {part: flops / 1e12 for part, flops in by_part(unet, exclusive(forward)).items()},
        {part: size / 2**30 for part, size in by_part(unet, kept).items()},
    )


def costs_of(unet: MultiViewUNet) -> list[Cost]:
    """The costs of one object with one condition view and 8 or 32 targets."""
    return [count(unet, conditions, targets) for conditions, targets in CASES if conditions == 1]


def saved_with(params: Path, norms: bool, feed_forward: bool, levels: Sequence[int]) -> list[tuple[float, float]]:
    """GiB kept and training TFLOP, what is computed again included, of the first two of CASES."""
    unet = meta_unet(params)
    unet.train().recompute_levels(levels)
    if feed_forward:
        recompute_feed_forward(unet)
    if norms:
        round_norms(unet)
    return [_saved(unet, *case) for case in CASES[:2]]


def _saved(unet: MultiViewUNet, conditions: int, targets: int) -> tuple[float, float]:
    kept = unet_cost(unet, conditions, targets, "cuda").saved_activation_bytes / 2**30
    inputs = meta_inputs(unet, conditions, conditions + targets, torch.float32)
    with FlopCounterMode(display=False) as counter:
        unet(**inputs).square().mean().backward()
    return kept, counter.get_total_flops() / 1e12


def toy_batch(unet: MultiViewUNet, views: int, *, num_conditions: int = 1) -> dict[str, Tensor]:
    """Keywords of `MultiViewUNet.forward` for one object with some condition views, on the processor."""
    rng = torch.Generator().manual_seed(0)
    side, channels = unet.base.config.sample_size, unet.base.config.out_channels
    targets = unet.config.max_condition_views + torch.arange(views - num_conditions)
    return {
        "noisy_BVCHW": torch.randn(1, views, channels, side, side, generator=rng),
        "timestep_B": torch.tensor([500]),
        "condition_BVCHW": torch.randn(1, views, channels, side, side, generator=rng),
        "flag_BV": (torch.arange(views) < num_conditions).long()[None],
        "view_ids_BV": torch.cat([torch.arange(num_conditions), targets])[None],
        "embeds_BLD": torch.randn(1, num_conditions, unet.base.config.cross_attention_dim, generator=rng),
    }


def by_part(unet: MultiViewUNet, by_module: Mapping[str, float]) -> dict[str, float]:
    """Numbers of the modules that hold others, by level and kind of module; what is elsewhere is "other"."""
    parts: dict[str, float] = defaultdict(float)
    for name, number in by_module.items():
        parts[part_of(unet, name)] += number
    return parts


def part_of(unet: MultiViewUNet, name: str) -> str:
    """Level and kind of a module of the network."""
    words = name.split(".")
    side = unet.base.config.sample_size
    num_levels = len(unet.base.config.block_out_channels)
    kind = next((KINDS[word] for word in words if word in KINDS), None)
    if kind is None:
        return OTHER
    level = num_levels - 1
    if "down_blocks" in words:
        level = int(words[words.index("down_blocks") + 1])
    if "up_blocks" in words:
        level = num_levels - 1 - int(words[words.index("up_blocks") + 1])
    pixels = side // 2**level
    return f"{pixels} x {pixels}, {kind}"


def exclusive(counter: FlopCounterMode) -> dict[str, int]:
    """FLOPs of each module without those of the modules inside it."""
    totals = {name: sum(flops.values()) for name, flops in counter.get_flop_counts().items() if name != "Global"}
    own = dict(totals)
    for name, flops in totals.items():
        holder = name.rpartition(".")[0]
        while holder and holder not in totals:
            holder = holder.rpartition(".")[0]
        if holder:
            own[holder] -= flops
    return own


def _show(costs: Sequence[Cost], num_parameters: int) -> None:
    console = Console(width=140)
    table = Table(title=f"{num_parameters / 1e6:.1f} M parameters; one object at 512 px, bfloat16")
    for column in ("views", "forward, TFLOP", "training, TFLOP", "kept for backward, GiB", *CARDS):
        table.add_column(column, justify="right")
    for cost in costs:
        limits = [
            f"{1e3 * cost.forward_tflop / peak:.0f} / {1e3 * cost.training_tflop / peak:.0f} ms"
            for peak in CARDS.values()
        ]
        numbers = (cost.forward_tflop, cost.training_tflop, cost.saved_gib)
        table.add_row(f"{cost.conditions} + {cost.targets}", *(f"{number:.1f}" for number in numbers), *limits)
    console.print(table)
    for title, field in (("forward, TFLOP", "forward_by_part"), ("kept for backward, GiB", "saved_by_part")):
        parts = Table(title=f"{title}, by level and module")
        parts.add_column("part")
        for cost in costs:
            parts.add_column(f"{cost.conditions} + {cost.targets}", justify="right")
        for part in sorted(getattr(costs[0], field), key=_order):
            parts.add_row(part, *(f"{getattr(cost, field)[part]:.2f}" for cost in costs))
        console.print(parts)


def _show_savings(rows: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    table = Table(title="one object at 512 px, bfloat16 under autocast")
    for column in ("profile", *(f"{one} + {other}, {what}" for one, other in CASES[:2] for what in ("GiB", "TFLOP"))):
        table.add_column(column)
    for name, cases in rows.items():
        table.add_row(name, *(f"{number:.2f}" for case in cases for number in case))
    Console(width=140).print(table)


def _show_levels(rows: Mapping[Sequence[str], Sequence[Cost]]) -> None:
    """The last column is the least time that the card's peak allows, whatever the kernel."""
    peak = CARDS["H100, H200"]
    table = Table(title="one object at 512 px, bfloat16 under autocast; all else as in the params")
    for column in ("spans", "views", "forward, TFLOP", "training, TFLOP", "attention", "kept, GiB", "H100, ms"):
        table.add_column(column)
    for spans, costs in rows.items():
        for cost in costs:
            attention = sum(tflop for part, tflop in cost.forward_by_part.items() if part.endswith("self-attention"))
            table.add_row(
                " ".join(spans), f"{cost.conditions} + {cost.targets}", f"{cost.forward_tflop:.1f}",
                f"{cost.training_tflop:.1f}", f"{100 * attention / cost.forward_tflop:.0f} %", f"{cost.saved_gib:.1f}",
                f"{1e3 * cost.forward_tflop / peak:.0f} / {1e3 * cost.training_tflop / peak:.0f}",
            )  # fmt: skip
    Console(width=140).print(table)


def _order(part: str) -> tuple[int, str]:
    """The finest level first, the rest last."""
    side, _, kind = part.partition(" x ")
    return (-int(side), kind) if kind else (0, part)


if __name__ == "__main__":
    main()
