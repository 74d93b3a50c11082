"""Poses of views by incremental structure from motion: COLMAP's, by the optional package pycolmap."""

# Shapes: V view, K registered view, H and W image size

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.data.images import composite_on_white
from models.reconstruction.views import Views

PACKAGE = "pycolmap"
LEAST_VIEWS = 2
"""Views that make a model."""
SEEDS = 2**31
"""COLMAP's seeds are smaller, and not negative."""
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""From the camera axes of COLMAP (y down, z forward) to ours; its own inverse."""


@dataclass(frozen=True)
class Registered:
    """The largest set of views that structure from motion placed in one frame."""

    views: tuple[int, ...]
    """Numbers of the K views, increasing; empty where none were placed."""
    world_from_camera: npt.NDArray[np.float64]
    """(K, 4, 4) poses in a frame of arbitrary origin, orientation and scale."""


def has_structure_from_motion() -> bool:
    """Return whether pycolmap is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def register_views(views: Views, seed: int) -> Registered:
    """Estimate the poses of views from their pixels alone.

    SIFT features inside the masks, all pairs of images matched, and COLMAP's settings, but that models of two views
    count and that the true field of view is given and kept. One thread: the result depends on views and seed alone.

    Args:
        views: The V images, all of one field of view; their poses are not looked at.
        seed: For the random samples of RANSAC.

    Raises ModuleNotFoundError where pycolmap is not installed.
    """
    if len(views.rgba) < LEAST_VIEWS:
        return Registered((), np.zeros((0, 4, 4)))
    with TemporaryDirectory(prefix="sfm-") as name:
        folder = Path(name)
        for kind in ("images", "masks", "models"):
            (folder / kind).mkdir()
        for number, rgba in enumerate(views.rgba):
            _write_image(rgba, folder, number)
        return _largest(_map(folder, views, seed % SEEDS))


def _write_image(rgba: npt.NDArray[np.float32], folder: Path, number: int) -> None:
    """Write a view on white, and its mask under the name that COLMAP looks for."""
    alpha = rgba[..., 3:]
    on_white = np.round(255 * composite_on_white(rgba[..., :3], alpha)).astype(np.uint8)
    mask = np.where(alpha[..., 0] > 0.5, 255, 0).astype(np.uint8)
    Image.fromarray(on_white).save(folder / "images" / f"{number:02d}.png")
    Image.fromarray(mask).save(folder / "masks" / f"{number:02d}.png.png")


def _map(folder: Path, views: Views, seed: int) -> Mapping[int, Any]:
    """Run feature extraction, matching and mapping; return COLMAP's models by number."""
    import pycolmap  # an optional package

    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    pycolmap.set_random_seed(seed)
    cameras, database = views.cameras, folder / "database.db"
    reader = pycolmap.ImageReaderOptions(camera_model="PINHOLE", mask_path=folder / "masks")
    reader.camera_params = ",".join(f"{number:.9g}" for number in (*2 * [cameras.focal_px[0]], *2 * [cameras.side / 2]))
    extraction = pycolmap.FeatureExtractionOptions(num_threads=1)
    pycolmap.extract_features(
        database,
        folder / "images",
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=extraction,
        device=pycolmap.Device.cpu,
    )
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    pycolmap.match_exhaustive(
        database,
        matching_options=pycolmap.FeatureMatchingOptions(num_threads=1),
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )
    options = pycolmap.IncrementalPipelineOptions(
        min_model_size=LEAST_VIEWS, num_threads=1, random_seed=seed, ba_refine_focal_length=False
    )
    models: Mapping[int, Any] = pycolmap.incremental_mapping(database, folder / "images", folder / "models", options)
    return models


def _largest(models: Mapping[int, Any]) -> Registered:
    """Read the poses of the model of most views; of equal ones the first."""
    poses: dict[int, npt.NDArray[np.float64]] = {}
    for _, model in sorted(models.items()):
        if model.num_reg_images() > len(poses):
            poses = {int(Path(image.name).stem): _pose(image) for image in model.images.values() if image.has_pose}
    views = tuple(sorted(poses))
    return Registered(views, np.array([poses[view] for view in views]).reshape(-1, 4, 4))


def _pose(image: Any) -> npt.NDArray[np.float64]:
    camera_from_world = np.vstack([image.cam_from_world().matrix(), [0.0, 0.0, 0.0, 1.0]])
    return np.linalg.inv(camera_from_world) @ FLIP
