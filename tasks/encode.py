"""Stage encode: every view through the frozen mask-aware VAE, every condition view through CLIP as well, once."""

# V view, K condition view, C latent channel, D embedding
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.data.latents import (
    FEATURE_EXTRACTOR,
    IMAGE_ENCODER,
    LatentLayout,
    ObjectLatents,
    ObjectRow,
    write_index,
    write_shard,
)
from models.network.image_encoder import build_image_encoder, build_image_processor, embed_images
from models.network.mask_vae import load_mask_vae
from models.training.vae import as_unit_tensor, posterior_moments
from render.cameras import Camera
from render.views import ViewKind
from tasks.artifacts.atomic import hard_link
from tasks.artifacts.content import work_key
from tasks.artifacts.manifest import Kind, open_manifest, seal
from tasks.artifacts.randomness import seed_of
from tasks.artifacts.views import ViewSet
from tasks.config import EncodeConfig
from tasks.outcome import Done
from tasks.ports import Tools


def encode_views(views: Path, vae: Path, config: EncodeConfig, seed: int, out: Path, tools: Tools) -> None:
    """Latents and embeddings of every object, in shards like the views'; finished shards survive a crash.

    The image encoder is saved beside them, because the trained model must be used with the same one.
    """
    torch.set_num_threads(tools.threads)
    view_set = ViewSet.open(views)
    inputs = {"views": view_set.manifest.fingerprint, "mask_vae": open_manifest(vae, Kind.MASK_VAE).fingerprint}
    tools.tracker.dataset(views, "views", inputs["views"], "encoding")
    encoder = ViewEncoder.load(vae, config, seed, tools.device)
    recipe = config.model_dump(mode="json", exclude={"batch_size"})
    work = tools.work / work_key(Kind.LATENTS, recipe, seed, reads={"views": views, "mask_vae": vae}, tools=tools)
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    grid = TargetGrid.of(view_set)
    rows: dict[str, ObjectRow] = {}
    with tools.progress.steps("encode", len(view_set.uids)) as show:
        for shard, uids in shards_of(view_set):
            if not (work / shard).exists():
                write_shard(work / shard, {uid: encoder.encode(view_set, uid) for uid in uids})
            hard_link(work / shard, out / shard)
            for uid in uids:
                rows[uid] = ObjectRow(shard, str(view_set.facts[uid]["split"]), grid.condition_columns(view_set, uid))
            show(len(rows), {})
    side = view_set.image(view_set.uids[0], "t00").shape[0]
    white = encoder.moments(np.full((1, side, side, 4), 255, dtype=np.uint8))
    write_index(out, grid.layout(white, config.image_encoder.projection_dim), white, rows)
    encoder.save(out)
    outcomes = [Done(uid, {"split": row.split, "shard": row.shard}) for uid, row in rows.items()]
    seal(out, Kind.LATENTS, config=config, inputs=inputs, outcomes=outcomes)


def shards_of(views: ViewSet) -> Iterator[tuple[str, list[str]]]:
    """(shard of latents, its objects): the same membership as the views' shards, so few change when objects come."""
    members: dict[str, list[str]] = {}
    for uid in views.uids:
        number = str(views.reader.index[uid]["shard"]).removeprefix("shard-").removesuffix(".tar")
        members.setdefault(f"latents-{number}.safetensors", []).append(uid)
    yield from sorted(members.items())


@dataclass(frozen=True)
class TargetGrid:
    """Where the target cameras stand: elevation rows outer, azimuth columns inner; the same for all objects."""

    cameras: Sequence[Camera]

    @classmethod
    def of(cls, views: ViewSet) -> "TargetGrid":
        """The grid of a view set.

        Raises ValueError when the objects do not share it.
        """
        grids = {uid: [camera for camera in views.cameras(uid) if camera.name.startswith("t")] for uid in views.uids}
        first = views.uids[0]
        for uid, cameras in grids.items():
            if cameras != grids[first]:
                raise ValueError(f"the target cameras of {uid} are not those of {first}; render all objects alike")
        return cls(grids[first])

    @property
    def azimuths_deg(self) -> list[float]:
        """Of the columns, in order."""
        return list(dict.fromkeys(camera.azimuth_deg for camera in self.cameras))

    def condition_columns(self, views: ViewSet, uid: str) -> list[int]:
        """Column of each condition view of an object.

        Raises ValueError for one that stands between columns: its targets would have to be rendered anew.
        """
        columns = []
        for camera in views.cameras(uid):
            if camera.name.startswith("c"):
                turn = (camera.azimuth_deg - self.azimuths_deg[0]) / (360 / len(self.azimuths_deg))
                if abs(turn - round(turn)) > 1e-6:
                    raise ValueError(
                        f"{uid}.{camera.name} stands at azimuth {camera.azimuth_deg} deg, between the target columns; "
                        "training needs condition views on the columns"
                    )
                columns.append(round(turn) % len(self.azimuths_deg))
        return columns

    def layout(self, white_1CHW: "Tensor", embedding_dim: int) -> "LatentLayout":
        """What the index says of all objects."""
        one = self.cameras[0]
        return LatentLayout(
            num_targets=len(self.cameras),
            num_columns=len(self.azimuths_deg),
            latent_channels=white_1CHW.shape[1] // 2,
            latent_size=white_1CHW.shape[2],
            embedding_dim=embedding_dim,
            geometry={
                "azimuths": len(self.azimuths_deg),
                "elevations_deg": list(dict.fromkeys(camera.elevation_deg for camera in self.cameras)),
                "fov_deg": one.fov_deg,
                "distance": one.distance,
            },
        )


@dataclass(frozen=True)
class ViewEncoder:
    """The frozen networks."""

    vae: Any
    image_encoder: Any
    feature_extractor: Any
    batch_size: int

    @classmethod
    def load(cls, vae: Path, config: EncodeConfig, seed: int, device: str) -> "ViewEncoder":
        """Load the VAE; load the image encoder, or build it from the seed."""
        return cls(
            vae=load_mask_vae(vae).to(device).eval().requires_grad_(False),
            image_encoder=build_image_encoder(config.image_encoder, seed=seed_of(seed, "image-encoder")).to(device),
            feature_extractor=build_image_processor(config.image_encoder.image_size),
            batch_size=config.batch_size,
        )

    def encode(self, views: ViewSet, uid: str) -> "ObjectLatents":
        """All views of an object, targets first.

        Raises ValueError when a latent is not finite in float16.
        """
        conditions = views.images(uid, views.names(uid, ViewKind.CONDITION))
        pixels = np.concatenate([views.images(uid, views.names(uid, ViewKind.TARGET)), conditions])
        batches = range(0, len(pixels), self.batch_size)
        moments = torch.cat([self.moments(pixels[first : first + self.batch_size]) for first in batches])
        if not moments.half().isfinite().all():
            raise ValueError(f"{uid} has latents that float16 cannot hold; the VAE is broken: look at its training")
        return ObjectLatents(moments, embed_images(self.image_encoder, self.feature_extractor, list(conditions)))

    def moments(self, pixels_VHW4: np.ndarray) -> "Tensor":
        """Posterior mean and log variance (V, 2C, h, w), unscaled."""
        return posterior_moments(self.vae, as_unit_tensor(pixels_VHW4, self.vae.device))

    def save(self, out: Path) -> None:
        """Save the image encoder and its preprocessing."""
        self.image_encoder.save_pretrained(out / IMAGE_ENCODER)
        self.feature_extractor.save_pretrained(out / FEATURE_EXTRACTOR)
