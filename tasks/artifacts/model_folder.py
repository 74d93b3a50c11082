"""What lies in the folder of a trained model, and what it says without its weights."""

from pathlib import Path

from tasks.artifacts.atomic import read_json

UNET = "unet"
"""Folder of the averaged weights of a saved pipeline."""
RAW = "unet_raw"
"""Folder of the newest weights beside the averaged ones in `unet`."""


def most_conditions(model: Path) -> int | None:
    """Return the most condition views that a saved pipeline takes; None where its network does not say it."""
    config = model / UNET / "config.json"
    most: int | None = read_json(config).get("max_condition_views") if config.is_file() else None
    return most
