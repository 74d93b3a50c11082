"""The layout of Zero123's training data, which many of its successors read.

Told from cvlab-columbia/zero123 zero123/ldm/data/simple.py and objaverse-rendering/scripts/blender_script.py.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.artifacts.atomic import write_bytes, write_json
from tasks.commands.export.cameras import opengl_extrinsics, shared_cameras
from tasks.commands.export.pieces import write_folders
from tasks.commands.export.source import Source


def write_zero123(source: Source, out: Path) -> Iterator[str]:
    """Write `<uid>/000.png` (RGBA) and `000.npy` (3, 4), .. and `valid_paths.json`; yield each object that is written.

    A matrix is camera from world in Blender's axes. `valid_paths.json` lists the held-out objects last, because the
    training takes the last hundredth of the list for validation.
    """
    yield from write_folders(source, out, _write_object)
    seen, held_out = source.seen_and_held_out()
    write_json(out / "valid_paths.json", [*seen, *held_out])


def zero123_settings(source: Source) -> str:
    """Return what the training's configuration has to say of the data.

    Raises ValueError when objects differ in number of views, or in field of view, which the layout does not hold.
    """
    num_views, fov_deg = shared_cameras(source)
    return f"total_view: {num_views}; field of view {fov_deg:g} deg, which the layout does not hold"


def _write_object(source: Source, uid: str, folder: Path) -> None:
    for number, file in enumerate(source.files(uid, source.cameras(uid))):
        write_bytes(folder / f"{number:03d}.png", file.png)
        content = io.BytesIO()
        np.save(content, opengl_extrinsics(file.camera)[:3])
        write_bytes(folder / f"{number:03d}.npy", content.getvalue())
