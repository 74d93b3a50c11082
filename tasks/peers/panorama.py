"""Agreement of the neighbouring views of a panorama where they overlap: the score of MVDiffusion's own task."""

# Shapes: V view, H = W = side in pixels

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.losses.metrics import MAX_PSNR
from tasks.peers.pictures import read_square

VIEWS, TURN_DEG, FOV_DEG = 8, 45.0, 90.0


def find_scenes(folder: Path) -> dict[str, Path]:
    """Return the scenes of a folder, by name: the folder itself or those in it that hold 0.png.

    Raises ValueError when there is none.
    """
    if (folder / "0.png").is_file():
        return {folder.resolve().name: folder}
    scenes = {path.parent.name: path.parent for path in sorted(folder.glob("*/0.png"))}
    if not scenes:
        raise ValueError(f"{folder} has neither 0.png nor a folder with one; expected SCENE/0.png .. {VIEWS - 1}.png")
    return scenes


def overlap_psnr(scene: Path) -> float:
    """Return the mean PSNR in dB over pairs of neighbouring views, each on the pixels that both see.

    Raises ValueError when a view is missing, not square or of another size than the first.
    """
    missing = next((n for n in range(VIEWS) if not (scene / f"{n}.png").is_file()), None)
    if missing is not None:
        raise ValueError(f"{scene.name} is incomplete: {scene} has no {missing}.png of its {VIEWS} views")
    views = [read_square(scene / f"{number}.png")[..., :3] / 255 for number in range(VIEWS)]
    odd = next((number for number, view in enumerate(views) if view.shape != views[0].shape), None)
    if odd is not None:
        raise ValueError(
            f"{scene / f'{odd}.png'} is {len(views[odd])} pixels wide, 0.png {len(views[0])}; expected one size"
        )
    return float(np.mean([_pair_psnr(views[number], views[(number + 1) % VIEWS]) for number in range(VIEWS)]))


def _pair_psnr(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float:
    """PSNR of `left` against what `right`, which looks TURN_DEG further to the right, shows of the same directions."""
    side = len(left)
    focal = 0.5 * side / math.tan(math.radians(FOV_DEG) / 2)
    x, y = np.meshgrid(np.arange(side) + 0.5 - side / 2, np.arange(side) + 0.5 - side / 2)
    turn = math.radians(TURN_DEG)
    across = x * math.cos(turn) - focal * math.sin(turn)
    ahead = x * math.sin(turn) + focal * math.cos(turn)
    column, row = across / ahead * focal + side / 2 - 0.5, y / ahead * focal + side / 2 - 0.5
    is_shared = (ahead > 0) & (column >= 0) & (column <= side - 1) & (row >= 0) & (row <= side - 1)
    place = np.stack([row[is_shared], column[is_shared]])
    seen = np.stack([ndimage.map_coordinates(right[..., k], place, order=1) for k in range(3)], axis=1)
    error = float(((left[is_shared] - seen) ** 2).mean())
    return min(MAX_PSNR, -10 * math.log10(error)) if error else MAX_PSNR
