"""A data set for the Hub: Parquet files with an image column, and a card that names the splits.

Told from huggingface/datasets src/datasets/features/image.py and Features.from_arrow_schema, and from the Hub's
documentation of repository cards. The features stand in the schema's metadata, so `datasets` need not be here.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.artifacts.atomic import atomic_file, write_bytes
from tasks.commands.export.batches import Batch, batches, camera_facts, object_facts
from tasks.commands.export.dataset_card import dataset_card
from tasks.commands.export.source import Source
from tasks.commands.hub_card import CARD

GROUP_BYTES, GROUP_ROWS = 32 << 20, 1000
"""Bytes of images and rows after which a row group ends: what a reader, and this writer, hold in memory."""
HUB_SPLITS = {"val": "validation"}
"""Names of splits on the Hub where they are other than ours."""

_VALUES = {
    **dict.fromkeys(("uid", "split", "title", "license", "view"), "string"),
    **dict.fromkeys(("width", "height"), "int32"),
    **dict.fromkeys(("azimuth_deg", "elevation_deg", "distance", "fov_deg"), "float64"),
}
_MATRICES = ("intrinsics", "extrinsics")


def schema() -> pa.Schema:
    """Return the columns of a view, with the features of `datasets` in the metadata: `image` is an Image."""
    types = {"string": pa.string(), "int32": pa.int32(), "float64": pa.float64()}
    columns = {name: types[dtype] for name, dtype in _VALUES.items()}
    columns["image"] = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns |= {name: pa.list_(pa.list_(pa.float64())) for name in _MATRICES}
    features: dict[str, Any] = {name: {"dtype": dtype, "_type": "Value"} for name, dtype in _VALUES.items()}
    number = {"dtype": "float64", "_type": "Value"}
    row = {"feature": number, "_type": "Sequence"}
    features["image"] = {"_type": "Image"}
    features |= {name: {"feature": row, "_type": "Sequence"} for name in _MATRICES}
    return pa.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def write_huggingface(source: Source, out: Path) -> Iterator[str]:
    """Write `data/<split>-00000-of-00001.parquet`, .. and the card `README.md`; yield each object that is written.

    A row is a view: uid, split, title, license, view, image (RGBA PNG), width, height, intrinsics (3x3, pixels),
    extrinsics (4x4, camera from world in OpenCV axes), azimuth_deg, elevation_deg, distance, fov_deg.
    """
    num_rows = 0
    for batch in batches(source):
        split = HUB_SPLITS.get(batch.split, batch.split)
        path = out / "data" / f"{split}-{batch.number:05d}-of-{batch.num_files:05d}.parquet"
        if not path.exists():
            _write_file(source, batch, path)
        num_rows += pq.read_metadata(path).num_rows
        yield from batch.uids
    splits = [HUB_SPLITS.get(split, split) for split in source.by_split()]
    licenses = {(source.known[uid].license if uid in source.known else "") for uid in source.uids}
    write_bytes(out / CARD, dataset_card(splits, len(source.uids), num_rows, licenses).encode())


def huggingface_settings(_: Source) -> str:
    """Return how the data set is loaded."""
    return "datasets.load_dataset(FOLDER), or `hf upload`"


def _write_file(source: Source, batch: Batch, path: Path) -> None:
    with atomic_file(path) as part, pq.ParquetWriter(part, schema()) as writer:
        group: list[dict[str, Any]] = []
        num_bytes = 0
        for row in _rows(source, batch):
            group.append(row)
            num_bytes += len(row["image"]["bytes"])
            if num_bytes >= GROUP_BYTES or len(group) >= GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(group, schema()))
                group, num_bytes = [], 0
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema()))


def _rows(source: Source, batch: Batch) -> Iterator[dict[str, Any]]:
    for uid in batch.uids:
        facts = object_facts(source, uid) | {"split": HUB_SPLITS.get(batch.split, batch.split)}
        for file in source.files(uid, source.cameras(uid)):
            image = {"bytes": file.png, "path": f"{uid}.{file.camera.name}.png"}
            yield {**facts, **camera_facts(file.camera, file.side), "image": image}
