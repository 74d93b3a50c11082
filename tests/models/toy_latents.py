"""A small latent set whose content says what it is: channel 0 = azimuth column, 1 = elevation row, 2 = view index."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.data.draws import SamplePlan
from models.data.latent_index import LatentLayout, ObjectRow
from models.data.latents import LatentSet, ObjectLatents, write_index, write_shard
from models.data.samples import SampleReader

COLUMNS, ROWS, CONDITIONS = 8, 4, 5
CHANNELS, SIDE, WIDTH = 4, 4, 16
SCALE = 0.25
LAYOUT = LatentLayout(
    num_targets=COLUMNS * ROWS,
    num_columns=COLUMNS,
    latent_channels=CHANNELS,
    latent_size=SIDE,
    embedding_dim=WIDTH,
    geometry={"azimuths": COLUMNS, "elevations_deg": [-30, 0, 30, 60], "fov_deg": 60.0, "distance": 1.5},
)


def condition_columns(number: int) -> list[int]:
    """Each object has its own."""
    return [(number + 3 * condition) % COLUMNS for condition in range(CONDITIONS)]


def moments_of(number: int) -> Tensor:
    """(V, 2C, h, w); the log variance is so small that samples are the mean to float precision."""
    views = [(view % COLUMNS, view // COLUMNS, view) for view in range(COLUMNS * ROWS)]
    views += [(column, -1, LAYOUT.num_targets + index) for index, column in enumerate(condition_columns(number))]
    mean = torch.tensor([[*facts, number] for facts in views], dtype=torch.float32)
    moments = torch.cat([mean, torch.full_like(mean, -30.0)], dim=1)
    return moments[:, :, None, None].expand(-1, -1, SIDE, SIDE)


def embeds_of(number: int) -> Tensor:
    """(K, D): constant, 10 * object + condition."""
    return (10.0 * number + torch.arange(CONDITIONS))[:, None].expand(-1, WIDTH)


def write_toy_latents(folder: Path, num_objects: int = 4) -> LatentSet:
    """Objects o0, o1, ... in two shards; the last one is held out."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, ObjectRow] = {}
    for shard in range(2):
        numbers = range(shard, num_objects, 2)
        name = f"latents-{shard:05d}.safetensors"
        write_shard(folder / name, {f"o{n}": ObjectLatents(moments_of(n), embeds_of(n)) for n in numbers})
        rows |= {
            f"o{n}": ObjectRow(name, "val" if n == num_objects - 1 else "train", condition_columns(n)) for n in numbers
        }
    white = torch.cat([torch.full((1, CHANNELS, SIDE, SIDE), 0.5), torch.full((1, CHANNELS, SIDE, SIDE), -30.0)], dim=1)
    write_index(folder, LAYOUT, white, rows)
    return LatentSet.open(folder)


def make_reader(latents: LatentSet, scale: float = SCALE, **overrides: Any) -> SampleReader:
    """Samples of all training objects; `overrides` replace fields of the plan."""
    fields: dict[str, Any] = {
        "seed": 0,
        "num_items": 3,
        "num_conditions": CONDITIONS,
        "num_targets": 32,
        "kept_targets": 8,
        "multi_condition_share": 0.5,
        "multi_conditions": (2, CONDITIONS),
        "condition_drop": 0.0,
        "timesteps": 1000,
    }
    return SampleReader(latents, latents.uids("train"), SamplePlan(**(fields | overrides)), scale)
