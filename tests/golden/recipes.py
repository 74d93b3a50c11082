"""What the recipe numbers stand for: small outputs that must not move unless their number does."""

import hashlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.params import Params, load_params
from render.quality import NAMED
from tasks.sources.procedural.objects import FAMILIES, object_uid, write_object

FOLDER = Path(__file__).parent
PARAMS = FOLDER.parent.parent / "params.yaml"
OBJECTS = ("mug", "car", "robot", "guitar")
VIEWS = ("t00", "t11", "t21", "c03")
SIDE, QUALITY = 48, NAMED["draft"]


def params() -> Params:
    """The committed default."""
    return load_params(PARAMS)


def make_object(family: str, folder: Path) -> Path:
    """The first object of a family, as the catalog makes it."""
    index = FAMILIES[family].place
    path = folder / f"{object_uid(index)}.glb"
    write_object(family, 0, index, path)
    return path


def object_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the first object of every family."""
    return {family: hashlib.sha256(make_object(family, folder).read_bytes()).hexdigest() for family in FAMILIES}


def named_qualities() -> str:
    """The numbers behind the names of render.quality, as JSON."""
    return json.dumps({name: quality.model_dump() for name, quality in NAMED.items()}, sort_keys=True)


def rendered(family: str, folder: Path) -> npt.NDArray[np.uint8]:
    """A few views of an object, with the committed settings at toy size: (V, H, W, 4)."""
    from render.blender.objects import inspect
    from render.blender.views import render_views
    from render.device import Machine
    from render.placement import normalize_bounds
    from render.views import condition_cameras, target_cameras
    from tasks.artifacts.randomness import rng_for

    config = params().render.model_copy(update={"resolution": SIDE, "quality": QUALITY})
    path = make_object(family, folder)
    report = inspect(path)
    placement = normalize_bounds(report.minimum, report.maximum, params().normalize.longest_side)
    cameras = [*target_cameras(config), *condition_cameras(config, rng_for(0, "render", path.stem))]
    chosen = [camera for camera in cameras if camera.name in VIEWS]
    taken = render_views(path, placement, chosen, config, uid=path.stem, seed=0, machine=Machine(1))
    return np.stack([view.rgba for view in taken])
