"""A sealed set of small views without a renderer: a coloured disc that wanders with the camera."""

from pathlib import Path

import numpy as np

from models.config import LoopConfig
from render.cameras import Camera
from render.passes import View
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.resume import ItemStore
from tasks.artifacts.shards import lay_out
from tasks.artifacts.views import Image, seal_views, write_views
from tasks.config import EncodeConfig, EncoderConfig
from tasks.outcome import Done

SIDE = 16
COLUMNS, ELEVATIONS = 4, (0.0, 30.0)
CONDITIONS = 3
LOOP = LoopConfig(batch_size=4, samples=16, ema_decay=0.9, log_every=2, validate_every=2, checkpoint_every=2)
ENCODE = EncodeConfig(
    recipe=1,
    image_encoder=EncoderConfig(
        pretrained=None,
        image_size=16,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        projection_dim=24,
    ),
    batch_size=4,
)


def cameras_of(number: int, offset_deg: float = 0.0) -> list[Camera]:
    """Targets on the grid, conditions on its columns, each object at its own ones; `offset_deg` moves them off."""
    step = 360 / COLUMNS
    targets = [(column * step, elevation) for elevation in ELEVATIONS for column in range(COLUMNS)]
    cameras = [Camera(f"t{index:02d}", *angles, 1.5, 60.0) for index, angles in enumerate(targets)]
    columns = [(number + 2 * index) % COLUMNS for index in range(CONDITIONS)]
    return cameras + [
        Camera(f"c{index:02d}", column * step + offset_deg, 10.0, 1.8, 60.0) for index, column in enumerate(columns)
    ]


def picture(number: int, camera: Camera, shade: int = 120) -> Image:
    """(SIDE, SIDE, 4)"""
    y, x = np.mgrid[:SIDE, :SIDE]
    center_x, center_y = 4 + camera.azimuth_deg / 45, 6 + camera.elevation_deg / 10
    image = np.zeros((SIDE, SIDE, 4), dtype=np.uint8)
    image[(x - center_x) ** 2 + (y - center_y) ** 2 < 16] = (240 - 50 * number, 50 * number, shade, 255)
    return image


def write_small_views(
    folder: Path, *, num_objects: int = 4, per_shard: int = 2, offset_deg: float = 0.0, shade: int = 120
) -> Path:
    """Objects o0, o1, ...; the last is held out. `shade` changes pixels and no manifest."""
    store = ItemStore(folder / "items")
    outcomes = []
    for number in range(num_objects):
        uid = f"o{number}"
        cameras = cameras_of(number, offset_deg)
        write_views(store.path(uid), cameras, [View(picture(number, camera, shade)) for camera in cameras], {})
        outcomes.append(Done(uid, {"split": "val" if number == num_objects - 1 else "train"}))
    out = folder / "views"
    items = store.readers({row.uid: row.uid for row in outcomes})
    seal_views(items, lay_out(items, per_shard), out)
    seal(out, Kind.VIEWS, config=LOOP, inputs={}, outcomes=outcomes)
    return out
