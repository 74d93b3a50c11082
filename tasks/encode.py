"""Stage encode: every view through the frozen mask-aware VAE, every condition view through CLIP as well, once."""

from pathlib import Path

import torch

from models.data.hub_weights import pinned
from models.data.latents import ObjectLatents, ObjectRow, write_index, write_shard
from models.inference.encoding import ViewEncoder, save_image_encoder
from models.inference.precision import DTYPES
from models.network.image_encoder import build_image_encoder
from render.target_grid import TargetGrid
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
    """Write latents and embeddings of every object, in shards like the views'; finished shards survive a crash.

    Args:
        views: Sealed set of views.
        vae: Model folder of the mask-aware VAE.
        config: The section `encode`.
        seed: For an image encoder of random weights.
        out: Becomes the sealed set of latents, with the image encoder that a model trained on it must be used with.
        tools: Of the stage.

    Raises ValueError when the objects do not share their target cameras, when a condition view stands between the
    target columns, or when a latent is not finite.
    """
    torch.set_num_threads(tools.threads)
    view_set = ViewSet.open(views)
    inputs = {"views": view_set.manifest.fingerprint, "mask_vae": open_manifest(vae, Kind.MASK_VAE).fingerprint}
    tools.tracker.dataset(views, "views", inputs["views"], "encoding")
    tower = config.image_encoder.model_copy(update={"pretrained": pinned(config.image_encoder.pretrained)})
    config = config.model_copy(update={"image_encoder": tower})
    image_encoder = build_image_encoder(config.image_encoder, seed=seed_of(seed, "image-encoder"))
    out.mkdir(parents=True, exist_ok=True)
    save_image_encoder(image_encoder, out)
    encoder = ViewEncoder.load(
        vae, image_encoder, device=tools.device, batch_size=config.batch_size, dtype=DTYPES[tools.precision]
    )
    recipe = config.model_dump(mode="json", exclude={"batch_size"})
    work = tools.work / work_key(Kind.LATENTS, recipe, seed, reads={"views": views, "mask_vae": vae}, tools=tools)
    work.mkdir(parents=True, exist_ok=True)
    grid = TargetGrid.of({uid: view_set.cameras(uid, ViewKind.TARGET) for uid in view_set.uids})
    rows: dict[str, ObjectRow] = {}
    with tools.progress.steps("encode", len(view_set.uids)) as show:
        for shard, uids in shards_of(view_set).items():
            if not (work / shard).exists():
                write_shard(work / shard, {uid: encode_object(view_set, uid, encoder) for uid in uids})
            hard_link(work / shard, out / shard)
            for uid in uids:
                columns = grid.columns(uid, view_set.cameras(uid, ViewKind.CONDITION))
                rows[uid] = ObjectRow(shard, str(view_set.facts[uid]["split"]), columns)
            show(len(rows), {})
    side = view_set.image(view_set.uids[0], ViewKind.TARGET.view_name(0)).shape[0]
    white = encoder.white_moments(side)
    write_index(out, encoder.layout(white, grid.geometry), white, rows)
    outcomes = [Done(uid, {"split": row.split, "shard": row.shard}) for uid, row in rows.items()]
    seal(out, Kind.LATENTS, config=config, inputs=inputs, outcomes=outcomes)


def shards_of(views: ViewSet) -> dict[str, list[str]]:
    """Objects of each shard of latents: those of the views' shard of that number, so few change when objects come."""
    members: dict[str, list[str]] = {}
    for uid in views.uids:
        number = str(views.reader.index[uid]["shard"]).removeprefix("shard-").removesuffix(".tar")
        members.setdefault(f"latents-{number}.safetensors", []).append(uid)
    return dict(sorted(members.items()))


def encode_object(views: ViewSet, uid: str, encoder: ViewEncoder) -> ObjectLatents:
    """Encode all views of one object.

    Raises ValueError when a latent is not finite.
    """
    targets, conditions = (views.images(uid, views.names(uid, kind)) for kind in (ViewKind.TARGET, ViewKind.CONDITION))
    return encoder.encode(uid, targets, conditions)
