"""Scores one test object: sampled views against true views and trivial baselines, meshes against the true mesh.

Every score is a mean over the object's views; means over objects are taken from these rows.
"""

# Shapes: V scored view, H and W image size, N surface point, R voxel along the side

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.losses.lpips import LPIPS
from models.losses.metrics import mask_iou, on_white, psnr, ssim
from models.reconstruction.views import Cameras
from tasks.artifacts.cases import Case
from tasks.artifacts.randomness import rng_for
from tasks.artifacts.views import ViewSet, as_cameras
from tasks.config import EvaluateConfig
from tasks.evaluation.mesh_metrics import chamfer_and_f_score, read_mesh, solid_voxels, visible_points, volume_iou
from tasks.outcome import Done, Json, Outcome

LPIPS_BATCH = 4
"""Images whose VGG features are held at once."""
Summary = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Case -> group -> metric -> mean over the objects of the group."""
Perceptual = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ScoreJob:
    """One test object and all cases that sampled it."""

    uid: str
    group: str
    cases: tuple[Case, ...]
    meshed: frozenset[str]
    """Names of the cases that have a mesh of it."""
    test_views: Path
    samples: Path
    meshes: Path
    config: EvaluateConfig
    seed: int
    threads: int
    device: str


@dataclass(frozen=True)
class ObjectScore:
    """One object in one case."""

    case: Case
    uid: str
    group: str
    metrics: Mapping[str, float] = field(default_factory=dict)


def score_object(job: ScoreJob) -> Outcome:
    """Score an object in all its cases; runs in a worker.

    The facts of the outcome are {"group": name, "cases": {case: {metric: value}}}. Raises ValueError when a case lacks
    the object's views or has them at another resolution than the truth.
    """
    torch.set_num_threads(job.threads)
    truths: dict[str, Truth] = {}
    scores: dict[str, Json] = {}
    for case in job.cases:
        sampled = ViewSet.open(job.samples / case.name)
        names = sampled.names(job.uid, case.scored)
        if not names:
            raise ValueError(f"{case.name} has no view {case.scored}.. of {job.uid}; sample it again")
        if case.protocol not in truths:
            truths[case.protocol] = Truth.load(job, case, names)
        metrics = score_views(sampled, truths[case.protocol], job)
        if case.name in job.meshed:
            metrics |= score_mesh(job.meshes / case.name / f"{job.uid}.ply", truths[case.protocol], job)
        scores[case.name] = dict(metrics)
    return Done(job.uid, {"group": job.group, "cases": scores})


@dataclass(frozen=True)
class Truth:
    """What one protocol compares an object with; made once for all its cases."""

    names: list[str]
    """Names of the V scored views."""
    rgba: Tensor
    """(V, H, W, 4) in [0, 1]."""
    rgb: Tensor
    """(V, 3, H, W) on white."""
    not_copied: list[int]
    """Indices of the views that are not the copied condition image itself."""
    baselines: Mapping[str, Tensor]
    """PSNR and SSIM of an all-white image (V,) and of the first condition image shown everywhere (len(not_copied),)."""
    cameras: Cameras
    points: npt.NDArray[np.floating]
    """(N, 3) points on the part of the true surface that the cameras see."""
    solid: npt.NDArray[np.bool_]
    """(R, R, R) voxels inside the true mesh."""

    @classmethod
    def load(cls, job: ScoreJob, case: Case, names: list[str]) -> "Truth":
        """Read the views `names` and the mesh of the job's object."""
        views = ViewSet.open(job.test_views)
        rgba = _load(views, job, names)
        rgb, white = on_white(rgba), torch.ones_like(rgba[..., :3]).permute(0, 3, 1, 2)
        not_copied = [index for index, name in enumerate(names) if name != case.copied]
        copied = on_white(_load(views, job, [case.copied])).expand_as(rgb)[not_copied]
        baselines = {
            "psnr_white": psnr(white, rgb),
            "ssim_white": ssim(white, rgb),
            "psnr_copy": psnr(copied, rgb[not_copied]),
            "ssim_copy": ssim(copied, rgb[not_copied]),
        }
        cameras = as_cameras(views.cameras(job.uid, case.scored), rgba.shape[1])
        mesh = read_mesh(job.test_views / "meshes" / f"{job.uid}.ply")
        points = visible_points(mesh, cameras, job.config.points, rng_for(job.seed, "evaluate", job.uid))
        return cls(
            names, rgba, rgb, not_copied, baselines, cameras, points, solid_voxels(mesh, job.config.iou_resolution)
        )


def score_views(sampled: ViewSet, truth: Truth, job: ScoreJob) -> dict[str, float]:
    """Score an object's sampled views.

    Returns PSNR in dB, SSIM, mask IoU and, with `lpips_weights`, LPIPS; PSNR and SSIM of the baselines "all white" and
    "the condition image copied to every view"; and the PSNR margins over both in dB. Where the copied image is a scored
    view itself (the ring's first), that view counts neither for the baseline nor for the margin (docs/paper.md, 3.1).
    Raises ValueError when the views have another resolution than the truth.
    """
    drawn = _load(sampled, job, truth.names)
    if drawn.shape != truth.rgba.shape:
        sizes = f"{tuple(drawn.shape)}, the truth is {tuple(truth.rgba.shape)}"
        raise ValueError(f"{job.uid} was sampled as {sizes}; sample and render-test must use one resolution")
    rgb = on_white(drawn)
    scores = {"psnr": psnr(rgb, truth.rgb), "ssim": ssim(rgb, truth.rgb), **truth.baselines}
    scores["mask_iou"] = mask_iou(drawn[..., 3], truth.rgba[..., 3])
    scores["psnr_over_white"] = scores["psnr"] - scores["psnr_white"]
    scores["psnr_over_copy"] = scores["psnr"][truth.not_copied] - scores["psnr_copy"]
    if job.config.lpips_weights is not None:
        distance = _perceptual(job.config.lpips_weights, job.device)
        pairs = zip(*(torch.split(2 * one - 1, LPIPS_BATCH) for one in (rgb, truth.rgb)), strict=True)
        scores["lpips"] = torch.cat([distance(one, other) for one, other in pairs])
    return {name: float(values.mean()) for name, values in scores.items()}


def score_mesh(path: Path, truth: Truth, job: ScoreJob) -> dict[str, float]:
    """Return chamfer distance, F-score and volume IoU of a mesh file (docs/paper.md, 3.1).

    The volume IoU is left out when the true mesh encloses nothing. Raises ValueError when the file holds no triangles.
    """
    mesh = read_mesh(path)
    points = visible_points(mesh, truth.cameras, job.config.points, rng_for(job.seed, "evaluate", job.uid))
    chamfer, f_score = chamfer_and_f_score(points, truth.points)
    overlap = volume_iou(solid_voxels(mesh, job.config.iou_resolution), truth.solid)
    return {"chamfer": chamfer, "f_score": f_score} | ({} if overlap is None else {"volume_iou": overlap})


def _load(views: ViewSet, job: ScoreJob, names: list[str]) -> Tensor:
    """Return views as float32 (V, H, W, 4) in [0, 1], straight alpha."""
    return torch.from_numpy(views.images(job.uid, names).astype(np.float32) / 255).to(job.device)


@cache
def _perceptual(weights: str, device: str) -> Perceptual:
    return LPIPS(Path(weights)).to(device)
