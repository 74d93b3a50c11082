"""Writes a table of aesthetic scores of one's own objects, which `catalog.scores` takes like anybody else's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.config import Precision
from models.data.hub_weights import pinned, weights_file
from models.network.aesthetic_predictor import AestheticPredictor
from render.views import ViewKind
from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import Kind, check_failed_share, fingerprint, read_manifest
from tasks.artifacts.resume import run_resumable
from tasks.artifacts.tables import OBJECTS, read_columns, write_table
from tasks.artifacts.views import ViewSet
from tasks.commands.aesthetic.images import ObjectImages, ThumbnailImages, ViewImages
from tasks.commands.aesthetic.jobs import PredictorSource, ScoreImagesJob, load_predictor, score_images
from tasks.commands.aesthetic.options import AestheticOptions
from tasks.commands.aesthetic.thumbnails import LABEL, Thumbnail, fetch_thumbnails
from tasks.commands.export_model import check_new
from tasks.outcome import Done
from tasks.ports import Tools
from tasks.validation.appearance import looked_at

OBJECTS_PER_JOB = 64
"""Thumbnails that an item of the pool has at most; of a view set it has a shard."""
SCORES = pa.schema(
    [pa.field("uid", pa.string(), nullable=False), ("aesthetic_score", pa.float64()), ("images", pa.int64())]
)
"""`images` counts those that the score is the mean of; without one there is no score."""
USUAL_ENCODER = "openai/clip-vit-large-patch14"
USUAL_HEAD = "sac+logos+ava1-l14-linearMSE.pth of github.com/christophschuhmann/improved-aesthetic-predictor"


@dataclass(frozen=True)
class Identity:
    """Which networks have scored; the table's metadata."""

    encoder: str
    """Hub id with its commit, or the folder's name."""
    encoder_sha256: str
    head: str
    """The file's name."""
    head_sha256: str
    precision: Precision

    @property
    def metadata(self) -> dict[str, str]:
        """The fields by their names."""
        return {name: str(value) for name, value in vars(self).items()}


def check_options(options: AestheticOptions) -> None:
    """Raise ValueError for a table that exists or has another ending, and for networks that are not named."""
    check_new(options.out)
    if options.out.suffix != ".parquet":
        raise ValueError(f"{options.out} does not end in .parquet: name the table so")
    if options.encoder is None or options.head is None:
        raise ValueError(
            f"give --encoder, CLIP ViT-L/14 as a folder or {USUAL_ENCODER}@COMMIT, and --head, usually {USUAL_HEAD}"
        )


def write_scores(options: AestheticOptions, tools: Tools) -> str:
    """Score the objects of a view set or catalog and write the table, with a row for each object.

    Args:
        options: What to score, with which networks; `check_options` has passed them.
        tools: Of the command; scores that it has are in its work folder, so that the same command goes on.

    Returns what the table holds, in a line.

    Raises ValueError for a source or network that cannot be used, ConnectionError when a hub or the server of the
    thumbnails does not answer, RuntimeError when images cannot be scored.
    """
    assert options.encoder is not None
    assert options.head is not None
    kind = read_manifest(options.source).kind
    if kind not in (Kind.VIEWS, Kind.CATALOG):
        raise ValueError(f"{options.source} holds {kind!r}; give a view set or a catalog")
    encoder = str(pinned(options.encoder))
    source = PredictorSource(encoder, weights_file(options.head), tools.worker_device, tools.precision)
    identity = identify(source)
    if kind == Kind.VIEWS:
        views = ViewSet.open(options.source)
        uids, jobs = views.uids, jobs_of_views(views, options.views, source)
    else:
        catalog = read_columns(options.source / OBJECTS, ["uid", "thumbnail"])
        uids, jobs = catalog["uid"].to_pylist(), jobs_of_thumbnails(fetch_thumbnails(catalog, tools), source)
    work = tools.work / fingerprint(identity.metadata)
    outcomes = run_resumable(LABEL, score_images, jobs, tools, work)
    load_predictor.cache_clear()
    check_failed_share(LABEL, outcomes, 0.0)
    table = table_of(uids, [row for row in outcomes if isinstance(row, Done)])
    write_table(options.out, table.replace_schema_metadata(identity.metadata))
    return summary(table)


def identify(source: PredictorSource) -> Identity:
    """Load the networks to see that they fit, and return which they are.

    Raises ValueError as `AestheticPredictor.load` does.
    """
    predictor = AestheticPredictor.load(source.encoder, source.head)
    name = Path(source.encoder).resolve().name if Path(source.encoder).is_dir() else source.encoder
    return Identity(name, predictor.encoder_sha256(), source.head.name, sha256_of(source.head), source.precision)


def jobs_of_views(views: ViewSet, views_each: int, source: PredictorSource) -> list[ScoreImagesJob]:
    """Return a job for each shard; it is done again when the shard's file is another, by its size and time."""
    jobs = []
    for shard, uids in views.by_shard().items():
        chosen = {uid: _chosen(views, uid, views_each) for uid in uids}
        state = shard.stat()
        key = fingerprint("views", shard.name, state.st_size, state.st_mtime_ns, chosen)
        jobs.append(ScoreImagesJob(shard.name, key, ViewImages(views.only(uids), chosen), source))
    return jobs


def _chosen(views: ViewSet, uid: str, count: int) -> list[str]:
    names = [name for name in views.image_names(uid) if name.startswith(ViewKind.TARGET)]
    if not names:
        raise ValueError(f"{uid} of {views.reader.folder} has no target view; score a set that the stage render made")
    return looked_at(names, min(count, len(names)))


def jobs_of_thumbnails(thumbnails: Mapping[str, Thumbnail], source: PredictorSource) -> list[ScoreImagesJob]:
    """Return a job for each few objects, in the order of their uids."""
    uids = list(thumbnails)
    jobs = []
    for start in range(0, len(uids), OBJECTS_PER_JOB):
        part = uids[start : start + OBJECTS_PER_JOB]
        key = fingerprint("thumbnails", {uid: thumbnails[uid].sha256 for uid in part})
        images: ObjectImages = ThumbnailImages({uid: thumbnails[uid].path for uid in part})
        jobs.append(ScoreImagesJob(f"{part[0]}..{part[-1]}", key, images, source))
    return jobs


def table_of(uids: Sequence[str], scored: Iterable[Done]) -> pa.Table:
    """Return the scores of all objects; one that no job had is a row without a score."""
    rows: dict[str, tuple[object, object]] = {}
    for done in scored:
        columns: Mapping[str, Any] = done.facts
        for uid, score, count in zip(*(columns[name] for name in SCORES.names), strict=True):
            rows[uid] = (score, count)
    values = [rows.get(uid, (None, 0)) for uid in uids]
    return pa.table([list(uids), [score for score, _ in values], [count for _, count in values]], schema=SCORES)


def summary(table: pa.Table) -> str:
    """Return how many objects have a score, and how many images it is from."""
    scores = table["aesthetic_score"].drop_null().to_numpy()
    without = len(table) - len(scores)
    said = f"{len(scores)} of {len(table)} objects have a score"
    if len(scores):
        said += f", {scores.min():.2f} to {scores.max():.2f}, mean {scores.mean():.2f}"
    return said + (f"; {without} have no image that can be read" if without else "")
