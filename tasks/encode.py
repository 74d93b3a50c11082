"""Stage encode: every view through the frozen mask-aware VAE, every condition view through CLIP as well, once.

A shard of views is a job of the pool and becomes a shard of latents; a worker loads the networks once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from models.config import Precision
from models.data.hub_weights import pinned
from models.data.latent_index import ObjectRow
from models.data.latent_statistics import LatentSums, statistics_of, sums_of, sums_of_shard
from models.data.latents import IMAGE_ENCODER, ObjectLatents, write_index, write_shard
from models.data.pixels import Pixels
from models.inference.encoding import ViewEncoder, save_image_encoder
from models.inference.precision import DTYPES
from models.network.image_encoder import build_image_encoder, load_image_encoder
from models.training.prefetch import prefetched
from render.target_grid import TargetGrid
from render.views import ViewKind
from tasks.artifacts.atomic import hard_link, read_json, write_json
from tasks.artifacts.content import content_of, work_key
from tasks.artifacts.keyed_files import KeyedFiles
from tasks.artifacts.manifest import Kind, check_failed_share, fingerprint, open_manifest, seal
from tasks.artifacts.randomness import seed_of
from tasks.artifacts.resume import run_resumable
from tasks.artifacts.shard_index import number_of
from tasks.artifacts.views import ViewSet, of_kind
from tasks.config import EncodeConfig
from tasks.outcome import Done, Outcome
from tasks.ports import NETWORK_THREADS, Tools

DECODE_THREADS = 4
"""Threads that decode PNG files beside a GPU: an object's 42 views of 512 px take one of them 0.13 to 0.3 s."""


@dataclass(frozen=True)
class EncoderSource:
    """Where a worker loads the networks from, and how they compute there."""

    vae: Path
    image_encoder: Path
    key: str
    """Changes with the content of the two folders, whatever their names."""
    batch_size: int
    device: str
    precision: Precision


@dataclass(frozen=True)
class EncodeJob:
    """One shard of views to encode."""

    views: ViewSet
    """The shard's objects alone."""
    encoder: EncoderSource
    shard: Path
    """Where the latents go."""

    name: str
    """Its name in the set of latents."""

    @property
    def uid(self) -> str:
        """File name of the shard of latents."""
        return self.name

    @property
    def reads(self) -> Sequence[Path]:
        """The views and the networks."""
        return (*self.views.shards, self.encoder.vae, self.encoder.image_encoder)

    @property
    def writes(self) -> Sequence[Path]:
        """The latents, after the sums over them."""
        return (sums_path(self.shard), self.shard)

    @property
    def key(self) -> str:
        """Content of the shard of views; everything else that decides the result names the folder."""
        return self.shard.stem


def encode_views(views: Path, vae: Path, config: EncodeConfig, seed: int, out: Path, tools: Tools) -> None:
    """Write latents and embeddings of every object, in shards like the views'; finished shards survive a crash.

    Args:
        views: Sealed set of views.
        vae: Model folder of the mask-aware VAE.
        config: The section `encode`.
        seed: For an image encoder of random weights.
        out: Becomes the sealed set of latents, with the image encoder that a model trained on it must be used with.
        tools: Of the stage.

    Raises ValueError when the objects do not share their target cameras or a condition view stands between the
    target columns, RuntimeError when a shard fails, for example because a latent is not finite or a view is damaged: a
    training on the others would be another training. What is finished stays.
    """
    view_set = ViewSet.open(views)
    inputs = {"views": view_set.manifest.fingerprint, "mask_vae": open_manifest(vae, Kind.MASK_VAE).fingerprint}
    tools.tracker.dataset(views, "views", inputs["views"], "encoding")
    members = shards_of(view_set)
    first = view_set.uids[0]
    grid = TargetGrid(first, view_set.cameras(first, ViewKind.TARGET))
    rows = index_rows(view_set, members, grid)
    tower = config.image_encoder.model_copy(update={"pretrained": pinned(config.image_encoder.pretrained)})
    config = config.model_copy(update={"image_encoder": tower})
    out.mkdir(parents=True, exist_ok=True)
    save_image_encoder(build_image_encoder(config.image_encoder, seed=seed_of(seed, "image-encoder")), out)
    recipe = config.model_dump(mode="json", exclude={"batch_size"})
    key = work_key(Kind.LATENTS, recipe, seed, reads={"mask_vae": vae}, tools=tools)
    source = EncoderSource(
        vae, out / IMAGE_ENCODER, key, config.batch_size, device=tools.worker_device, precision=tools.precision
    )
    store = KeyedFiles(tools.work / key, ".safetensors")
    jobs = _encoded(view_set, members, source, store, tools)
    for job in jobs:
        hard_link(job.shard, out / job.name)
    store.keep({job.key for job in jobs})
    side = view_set.image(view_set.uids[0], ViewKind.TARGET.view_name(0)).shape[0]
    torch.set_num_threads(NETWORK_THREADS)
    encoder = load_encoder(source)
    white = encoder.white_moments(side)
    write_index(out, encoder.layout(white, grid.geometry), white, rows)
    facts = {"scaled_latents": measured(jobs, encoder.vae.config.scaling_factor, config, tools)}
    load_encoder.cache_clear()
    outcomes = [Done(uid, {"split": row.split, "shard": row.shard}) for uid, row in rows.items()]
    seal(out, Kind.LATENTS, config=config, inputs=inputs, outcomes=outcomes, facts=facts)


def _encoded(
    views: ViewSet, members: Mapping[str, list[str]], source: EncoderSource, store: KeyedFiles, tools: Tools
) -> list[EncodeJob]:
    """Encode the shards that are not finished, and return the jobs of all; a shard of views is known by its content."""
    jobs = []
    for name, uids in members.items():
        key = fingerprint(name, content_of(views.reader.shard(uids[0]), tools))
        jobs.append(EncodeJob(views.only(uids), source, store.path(key), name))
    encoded = run_resumable("encode", encode_shard, jobs, tools, store.folder, store)
    check_failed_share("encode", encoded, 0.0)
    return jobs


def shards_of(views: ViewSet) -> dict[str, list[str]]:
    """Objects of each shard of latents: those of the views' shard of that number, so few change when objects come."""
    return {f"latents-{number_of(shard.name):05d}.safetensors": uids for shard, uids in views.by_shard().items()}


def index_rows(views: ViewSet, members: Mapping[str, list[str]], grid: TargetGrid) -> dict[str, ObjectRow]:
    """Return the entry of each object in the latents' index; raises ValueError where it does not stand on the grid."""
    splits = views.facts("split")
    rows: dict[str, ObjectRow] = {}
    for shard, uids in members.items():
        for uid in uids:
            cameras = views.cameras(uid)
            grid.require(uid, of_kind(cameras, ViewKind.TARGET))
            rows[uid] = ObjectRow(shard, splits[uid], grid.columns(uid, of_kind(cameras, ViewKind.CONDITION)))
    return rows


@lru_cache(maxsize=1)
def load_encoder(source: EncoderSource) -> ViewEncoder:
    """Load the networks, once in a process."""
    return ViewEncoder.load(
        source.vae,
        load_image_encoder(source.image_encoder).eval().requires_grad_(requires_grad=False),
        device=source.device,
        batch_size=source.batch_size,
        dtype=DTYPES[source.precision],
    )


def encode_shard(job: EncodeJob) -> Outcome:
    """Encode the objects of one shard, unless that was done before; runs in a worker."""
    if not job.shard.exists():  # else its process died after the last byte and before the outcome was known
        torch.set_num_threads(NETWORK_THREADS)
        job.shard.parent.mkdir(parents=True, exist_ok=True)
        objects = _encode_objects(job.views, load_encoder(job.encoder))
        write_json(sums_path(job.shard), asdict(sums_of(item.moments_VCHW for item in objects.values())))
        write_shard(job.shard, objects)
    return Done(job.uid, {"objects": len(job.views.uids)})


def measured(jobs: Sequence[EncodeJob], scaling_factor: float, config: EncodeConfig, tools: Tools) -> dict[str, Any]:
    """Return mean and deviation of the scaled latents of all shards.

    Where they are far off this is said, or raised as ValueError, as `encode.off_scale` says.
    """
    statistics = statistics_of((read_sums(job.shard) for job in jobs), scaling_factor)
    if (warning := statistics.warning()) is not None:
        if config.off_scale == "stop":
            raise ValueError(f"encode: {warning}; to go on with these, set encode.off_scale to warn")
        tools.progress.note(f"encode: {warning}")
    return asdict(statistics)


def sums_path(shard: Path) -> Path:
    """Where the sums over a shard's latents stand, which no training reads."""
    return shard.with_suffix(".json")


def read_sums(shard: Path) -> LatentSums:
    """Read the sums over a finished shard's latents; one of before they were kept is read as a whole."""
    path = sums_path(shard)
    return LatentSums(**read_json(path)) if path.exists() else sums_of_shard(shard)


def _encode_objects(views: ViewSet, encoder: ViewEncoder) -> dict[str, ObjectLatents]:
    """Encode all views of each object, one object after the other, so that shards do not change what is batched.

    Raises ValueError when a latent is not finite or a view is damaged.
    """
    uids = views.uids

    def read(number: int) -> tuple[Pixels, Pixels]:
        uid = uids[number]
        targets, conditions = (
            views.images(uid, views.names(uid, kind)) for kind in (ViewKind.TARGET, ViewKind.CONDITION)
        )
        return targets, conditions

    pixels = prefetched(read, range(len(uids)), encoder.vae.device, DECODE_THREADS)
    return {uid: encoder.encode(uid, *both).stored() for uid, both in zip(uids, pixels, strict=True)}
