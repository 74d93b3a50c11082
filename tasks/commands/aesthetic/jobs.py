"""What a worker does: it scores the images of some objects, with networks that it loads once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.config import Precision
from models.inference.precision import DTYPES
from models.network.aesthetic_predictor import AestheticPredictor
from models.training.prefetch import prefetched
from tasks.commands.aesthetic.images import ObjectImages
from tasks.outcome import Done, Outcome
from tasks.ports import NETWORK_THREADS

BATCH_SIZE = 32
"""Images that are embedded at once; another number rounds otherwise."""
DECODE_THREADS = 4
"""Threads that decode and resize images beside a GPU."""


@dataclass(frozen=True)
class PredictorSource:
    """Where a worker loads the networks from, and how they compute there."""

    encoder: str
    """Folder, or hub id with its commit."""
    head: Path
    device: str
    precision: Precision


@dataclass(frozen=True)
class ScoreImagesJob:
    """The images of some objects to score."""

    uid: str
    """Names these objects in messages."""
    key: str
    """Everything that their scores depend on, beside the networks."""
    images: ObjectImages
    predictor: PredictorSource

    @property
    def reads(self) -> Sequence[Path]:
        """The images and the networks, but for an encoder at a hub, which the worker fetches itself."""
        encoder = Path(self.predictor.encoder)
        return (*self.images.files, self.predictor.head, *([encoder] if encoder.exists() else []))

    @property
    def writes(self) -> Sequence[Path]:
        """No file: scores are facts of the outcome."""
        return ()


@lru_cache(maxsize=1)
def load_predictor(source: PredictorSource) -> AestheticPredictor:
    """Load the networks, once in a process."""
    return AestheticPredictor.load(source.encoder, source.head, device=source.device, dtype=DTYPES[source.precision])


def score_images(job: ScoreImagesJob) -> Outcome:
    """Score each object by the mean over its images; runs in a worker.

    The facts are the columns of the table, by name: a score is null where no image could be decoded.

    Raises ValueError when a score is not finite or a shard is damaged.
    """
    torch.set_num_threads(NETWORK_THREADS)
    names = job.images.names
    values = _scores(job.images, names, load_predictor(job.predictor))
    by_uid: dict[str, list[float]] = {uid: [] for uid, _ in names}
    for (uid, name), value in zip(names, values, strict=True):
        if value is not None:
            if not np.isfinite(value):
                raise ValueError(f"the score of {uid}'s {name} is {value}; the weights of the predictor are broken")
            by_uid[uid].append(value)
    means = [float(np.mean(found)) if found else None for found in by_uid.values()]
    return Done(
        job.uid, {"uid": [*by_uid], "aesthetic_score": [*means], "images": [len(found) for found in by_uid.values()]}
    )


def _scores(
    images: ObjectImages, names: Sequence[tuple[str, str]], predictor: AestheticPredictor
) -> list[float | None]:
    """Return the score of each image, None for one that cannot be decoded."""

    def read(start: int) -> tuple[list[bool], Tensor | None]:
        decoded = [images.read(*name) for name in names[start : start + BATCH_SIZE]]
        found = [image for image in decoded if image is not None]
        return [image is not None for image in decoded], predictor.preprocess(found) if found else None

    values: list[float | None] = []
    starts = range(0, len(names), BATCH_SIZE)
    for is_decoded, pixels in prefetched(read, starts, predictor.encoder.device, DECODE_THREADS):
        scores = iter(predictor.score(pixels) if pixels is not None else ())
        values += [next(scores) if fits else None for fits in is_decoded]
    return values
