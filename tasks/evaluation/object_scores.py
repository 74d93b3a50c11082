"""Scores one test object: the views and meshes of every case that has it, against its true views and its true mesh.

Every score belongs to one object; means over objects are taken from these rows (tasks/evaluation/summary.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import cv2
import torch
from torch import nn

from models.data.hub_weights import weights_file, weights_here
from models.losses.lpips import build_lpips
from models.losses.st_lpips import build_st_lpips, packaged_weights
from tasks.artifacts.cases import Case
from tasks.artifacts.test_set import true_mesh_path
from tasks.artifacts.views import ViewSet, files_of_object
from tasks.config import EvaluateConfig
from tasks.evaluation.consistency import score_consistency
from tasks.evaluation.mesh_metrics import read_mesh
from tasks.evaluation.mesh_scores import MeasuredMesh, score_mesh
from tasks.evaluation.view_scores import Perceptual, TrueViews, score_views
from tasks.outcome import Done, Json, Outcome

Summary = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Case -> group -> metric -> mean over the objects of the group."""


@dataclass(frozen=True)
class Predicted:
    """What one case has of an object."""

    case: Case
    views: Path | None
    """The case's view set; None for a case of meshes alone."""
    mesh: Path | None
    """The object's mesh; None where there is none."""
    own: Mapping[str, float] = field(default_factory=dict)
    """Scores that were measured where the prediction was made."""


@dataclass(frozen=True)
class ScoreJob:
    """One test object and all cases that have it."""

    object_uid: str
    group: str
    truth: Path
    """The test set, with `meshes/<uid>.ply` of the objects that have a true mesh."""
    predicted: tuple[Predicted, ...]
    config: EvaluateConfig
    seed: int
    threads: int
    device: str

    @property
    def uid(self) -> str:
        """Test set and object: the same object may be in several."""
        return f"{self.truth.name}/{self.object_uid}"

    @property
    def reads(self) -> Sequence[Path]:
        """The true and the predicted views and meshes, and weights that are a file here."""
        views = [self.truth, *(one.views for one in self.predicted if one.views is not None)]
        meshes = [true_mesh_path(self.truth, self.object_uid), *(one.mesh for one in self.predicted if one.mesh)]
        files = [file for folder in views for file in files_of_object(folder, self.object_uid)]
        return [*files, *(path for path in meshes if path.exists()), *weights_here(self.config.lpips_weights)]

    @property
    def writes(self) -> Sequence[Path]:
        """Nothing but the outcome."""
        return ()


@dataclass(frozen=True)
class ObjectScore:
    """One object in one case."""

    case: Case
    uid: str
    group: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    views: Path | None = None
    """The case's view set; None where it has no views of the object."""
    mesh: Path | None = None
    """The case's mesh of the object; None where there is none."""


def score_object(job: ScoreJob) -> Outcome:
    """Score an object in all its cases; runs in a worker.

    The facts of the outcome are {"cases": {case: {metric: value}}}. Raises ValueError when a case lacks views of the
    object or has them smaller than the truth.
    """
    torch.set_num_threads(job.threads)
    cv2.setNumThreads(job.threads)
    truth = Truth(job)
    scores: dict[str, Json] = {}
    for one in job.predicted:
        views = None if one.views is None else ViewSet.open(one.views)
        is_compared = views is not None and (one.mesh is None or views.names(job.object_uid, one.case.scored))
        metrics = truth.score_views(one.case, views) if views and is_compared else {}
        if views and job.config.consistency_resolution:
            metrics |= score_consistency(views, job.object_uid, job.config.consistency_resolution, job.seed)
        metrics |= one.own
        if one.mesh is not None and truth.mesh is not None:
            metrics |= score_mesh(measured(one.mesh, job), truth.mesh, job.config.points)
        scores[one.case.name] = dict(metrics)
    return Done(job.uid, {"cases": scores})


@dataclass
class Truth:
    """What an object's predictions are compared with; each part is made when it is first needed."""

    job: ScoreJob
    views: dict[str, TrueViews] = field(default_factory=dict)
    """By protocol."""

    @cached_property
    def mesh(self) -> MeasuredMesh | None:
        """The true mesh; None where the test set has none, as of two of the thirty scans."""
        path = true_mesh_path(self.job.truth, self.job.object_uid)
        return measured(path, self.job) if path.exists() else None

    def score_views(self, case: Case, predicted: ViewSet) -> dict[str, float]:
        """Score the views of one case."""
        job = self.job
        if case.protocol not in self.views:
            views = ViewSet.open(job.truth)
            self.views[case.protocol] = TrueViews.load(views, job.object_uid, case, job.device)
        truth = self.views[case.protocol]
        return score_views(predicted, truth, job.object_uid, case, perceptual(job.config, job.device))


def measured(path: Path, job: ScoreJob) -> MeasuredMesh:
    """Read and measure a mesh of the job's object."""
    return MeasuredMesh.of(read_mesh(path), job.object_uid, job.config, job.seed)


def check_networks(config: EvaluateConfig, note: Callable[[str], None]) -> None:
    """Find the weights that the configuration names, and say what is left out.

    Raises ValueError when there are none of that name, ConnectionError when a hub does not give them.
    """
    if config.lpips_weights is None:
        note("evaluate: LPIPS is left out, because evaluate.lpips_weights is null")
    else:
        weights_file(config.lpips_weights)
    if config.st_lpips:
        packaged_weights()


@cache
def perceptual(config: EvaluateConfig, device: str) -> Mapping[str, Perceptual]:
    """Load the networks that the configuration asks for, by metric."""
    networks: dict[str, nn.Module] = {}
    if config.lpips_weights is not None:
        networks["lpips"] = build_lpips(weights_file(config.lpips_weights))
    if config.st_lpips:
        networks["st_lpips"] = build_st_lpips()
    return {name: network.to(device) for name, network in networks.items()}
