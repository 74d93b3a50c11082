"""Scores of one object's predicted views against its true views (sec. 5.2; docs/evaluation.md).

Every score is a mean over views. Which views count is part of a score's name, so that scores over different views are
never compared by accident.
"""

# Shapes: V view, H and W image size

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from models.losses.azimuth import fit_azimuth, turned_psnr
from models.losses.metrics import inner, mask_iou, on_white, psnr, ssim_map
from render.cameras import Camera
from render.resample import resample
from render.rings import ring_places
from tasks.artifacts.cases import Case
from tasks.artifacts.views import Image, ViewSet

PROTOCOL_STEP_DEG = 45.0
"""The paper scores every second of SyncDreamer's 16 views."""
BATCH = 4
"""Images whose deep features are held at once."""
IN_EVERY_SET = ("psnr", "ssim", "lpips")
"""The paper's metrics are given for every set of views, the others for the protocol's alone."""
Perceptual = Callable[[Tensor, Tensor], Tensor]
"""Distance (V,) of RGB images (V, 3, H, W) in [-1, 1]."""


@dataclass(frozen=True)
class TrueViews:
    """What an object's predicted views are compared with in one protocol."""

    names: tuple[str, ...]
    """Names of the V views."""
    rgba: Tensor
    """(V, H, W, 4) in [0, 1]."""
    rgb: Tensor
    """(V, 3, H, W) on white."""
    sets: Mapping[str, tuple[str, ...]]
    """Suffix of a metric -> the views that it is a mean over, as `view_sets` says."""
    floors: Mapping[str, float]
    """Scores of trivial predictions: `psnr_white`, `ssim_white` over the protocol's views; `psnr_copy`, `ssim_copy` of
    the first given image, over those that were not given."""
    places: Mapping[str, tuple[int, int]]
    """Ring of each view and its place in it; empty where the cameras form no rings."""

    @classmethod
    def load(cls, views: ViewSet, uid: str, case: Case, device: str) -> "TrueViews":
        """Read the true views of an object for the protocol of a case."""
        cameras = views.cameras(uid, case.scored)
        names, sets = tuple(camera.name for camera in cameras), view_sets(case, cameras)
        rgba = _as_tensor(views.images(uid, names), device)
        rgb = on_white(rgba)
        given = on_white(_as_tensor(views.images(uid, [case.copied]), device))
        first, others = ([names.index(name) for name in sets[suffix]] for suffix in ("", "_other"))
        white = torch.ones_like(rgb[first])
        floors = {
            "psnr_white": psnr(white, rgb[first]),
            "ssim_white": ssim_map(white, rgb[first]),
            "psnr_copy": psnr(given.expand_as(rgb[others]), rgb[others]),
            "ssim_copy": ssim_map(given.expand_as(rgb[others]), rgb[others]),
        }
        means = {name: float(values.mean()) for name, values in floors.items()}
        places = ring_places(cameras)
        return cls(names, rgba, rgb, sets, means, {} if places is None else dict(zip(names, places, strict=True)))

    @cached_property
    def rings(self) -> Tensor:
        """(R, A, 3, H, W) on white by ring and place in it."""
        order = sorted(range(len(self.names)), key=lambda index: self.places[self.names[index]])
        num_rings = 1 + max(ring for ring, _ in self.places.values())
        return self.rgb[order].reshape(num_rings, -1, *self.rgb.shape[1:])

    @cached_property
    def turned_db(self) -> tuple[float, ...]:
        """How far the object is from itself after each turn: it is the same for all predictions."""
        return turned_psnr(self.rings)

    def azimuth_scores(self, rgb: Tensor, names: Sequence[str]) -> dict[str, float]:
        """Say whether drawn views are turned right (models/losses/azimuth.py); empty where there are no rings.

        Args:
            rgb: (V, 3, H, W) on white, views that were not given.
            names: Of these views.
        """
        if not self.places:
            return {}
        fit = fit_azimuth(rgb, self.rings, [self.places[name] for name in names], self.turned_db)
        return {} if fit is None else fit.scores()


def view_sets(case: Case, cameras: Sequence[Camera]) -> dict[str, tuple[str, ...]]:
    """Say over which views the metrics of a protocol are means.

    Args:
        case: Protocol and given view.
        cameras: All true views of the protocol.

    Returns:
        Suffix of a metric -> names of views: "" the protocol's, in the ring every 45 degrees from the given one, which
        is among them; "_other" the same without the given one; for a ring of more views "_16" and "_16_other"
        likewise, where 16 is their number.
    """
    every = tuple(camera.name for camera in cameras)
    if case.protocol == "sparse":
        return {"": every, "_other": every}
    start = next(camera.azimuth_deg for camera in cameras if camera.name == case.copied)
    turns = {camera.name: (camera.azimuth_deg - start) / PROTOCOL_STEP_DEG for camera in cameras}
    protocol = tuple(name for name in every if abs(turns[name] - round(turns[name])) < 1e-6)
    sets = {"": protocol} if protocol == every else {"": protocol, f"_{len(every)}": every}
    others = {f"{suffix}_other": tuple(name for name in names if name != case.copied) for suffix, names in sets.items()}
    return sets | others


def score_views(
    predicted: ViewSet, truth: TrueViews, uid: str, case: Case, perceptual: Mapping[str, Perceptual]
) -> dict[str, float]:
    """Score an object's predicted views.

    Args:
        predicted: Views with the truth's names; the protocol's are needed, all 16 of a ring are scored if there.
        truth: What they are compared with.
        uid: The object.
        case: The case that `predicted` belongs to.
        perceptual: Metric -> distance of images, such as lpips.

    Returns:
        docs/evaluation.md says what each is. Metrics over views that the case lacks are left out.

    Raises:
        ValueError: The case lacks a view of the protocol, or has smaller images than the truth.
    """
    known = set(predicted.names(uid, case.scored))
    missing = [name for name in truth.sets[""] if name not in known]
    if missing:
        raise ValueError(f"{case.name} has no view {', '.join(missing)} of {uid}, which its protocol scores; make it")
    names = [name for name in truth.names if name in known]
    rows = [truth.names.index(name) for name in names]
    side = truth.rgba.shape[1]
    images = np.stack([fitted(predicted.image(uid, name), side, f"view {name} of {uid}") for name in names])
    rgba = _as_tensor(images, truth.rgba.device)
    rgb = on_white(rgba)
    by_view = _by_view(rgba, rgb, truth.rgba[rows], truth.rgb[rows], perceptual)
    drawn = truth.sets["_other"]
    scores = truth.azimuth_scores(rgb[[names.index(name) for name in drawn]], drawn)
    for suffix, members in truth.sets.items():
        if known.issuperset(members):
            index = [names.index(name) for name in members]
            kept = IN_EVERY_SET if suffix else by_view
            scores |= {f"{name}{suffix}": float(by_view[name][index].mean()) for name in kept if name in by_view}
    margins = {
        "psnr_over_white": scores["psnr"] - truth.floors["psnr_white"],
        "psnr_over_copy": scores["psnr_other"] - truth.floors["psnr_copy"],
    }
    if case.protocol == "sparse":  # no target was given, so both sets are the same
        scores = {name: value for name, value in scores.items() if not name.endswith("_other")}
    return scores | dict(truth.floors) | margins | {"views": float(len(truth.sets[""]))}


def _by_view(
    rgba: Tensor, rgb: Tensor, true_rgba: Tensor, true_rgb: Tensor, perceptual: Mapping[str, Perceptual]
) -> dict[str, Tensor]:
    """Every metric of each view (V,)."""
    similarity = ssim_map(rgb, true_rgb)
    scores = {
        "psnr": psnr(rgb, true_rgb),
        "ssim": similarity.mean((1, 2)),
        "ssim_inner": inner(similarity),
        "mask_iou": mask_iou(rgba[..., 3], true_rgba[..., 3]),
    }
    pairs = list(zip(torch.split(2 * rgb - 1, BATCH), torch.split(2 * true_rgb - 1, BATCH), strict=True))
    with torch.no_grad():
        return scores | {name: torch.cat([distance(*pair) for pair in pairs]) for name, distance in perceptual.items()}


def fitted(image: Image, side: int, what: str) -> Image:
    """Bring an image down to `side` pixels by averaging areas, colours premultiplied; one of that size stays as it is.

    Args:
        image: RGBA, uint8 (H, H, 4), straight alpha.
        side: Of the result.
        what: Names the image in the message of the error.

    Raises:
        ValueError: The image is smaller or not square.
    """
    height, width = image.shape[:2]
    if height != width or height < side:
        raise ValueError(
            f"{what} has {width} x {height} pixels, its truth {side} x {side}; give square views of at least that size"
        )
    return resample(image, side)


def _as_tensor(images: Image, device: str | torch.device) -> Tensor:
    """Return uint8 (V, H, W, 4) as float32 in [0, 1]."""
    return torch.from_numpy(images.astype(np.float32) / 255).to(device)
