"""A folder of data as the stages leave it, with objects that were made, rejected and failed."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from render.cameras import Camera
from render.passes import View
from tasks.artifacts.ledger_table import LedgerTable
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.shards import lay_out, read_item
from tasks.artifacts.tables import OBJECTS, ObjectFile, Split, write_objects, write_table
from tasks.artifacts.views import seal_views, write_views
from tasks.config import DownloadConfig
from tasks.outcome import Done, Failed, Outcome, Rejected

CONFIG = DownloadConfig(max_mb=1, max_failed_share=0)
"""Any section: nobody reads it."""
SIDE = 16


def make_data(data: Path) -> Path:
    """Five objects: two rendered, one failed there, one rejected by normalize, one not selected."""
    uids = ["apple", "boat", "cup", "dome", "edge"]
    rejected = LedgerTable.of(pa.array(uids), pa.array([None, None, None, None, "score 4.2 < 5.0"]))
    for name, kind in (("catalog", Kind.CATALOG), ("selected", Kind.SELECTED)):
        table = LedgerTable.of_rows(pa.chunked_array([uids]), []) if name == "catalog" else rejected
        seal(data / name, kind, config=CONFIG, inputs={}, outcomes=table)
    write_table(data / "catalog" / OBJECTS, _catalog(uids))
    write_objects(data / "objects" / OBJECTS, [_file(uid) for uid in uids[:4]])
    seal_rows(data / "objects", Kind.OBJECTS, [Done(uid) for uid in uids[:4]])
    enclosed = Rejected("dome", "enclosed: 'Sky' surrounds everything")
    seal_rows(data / "normalized", Kind.PLACEMENTS, [*(Done(uid, {"num_faces": 12}) for uid in uids[:3]), enclosed])
    items = {}
    for uid, colour in (("apple", (200, 30, 30, 255)), ("boat", (30, 30, 200, 255))):
        image = np.zeros((SIDE, SIDE, 4), np.uint8)
        image[4:12, 4:12] = colour
        cameras = [Camera(f"t{number:02d}", 45.0 * number, 0.0, 1.5, 60.0) for number in range(8)]
        write_views(data.parent / f"{uid}.tar", cameras, [View(image) for _ in cameras], {})
        items[uid] = partial(read_item, data.parent / f"{uid}.tar")
    seal_views(items, lay_out(items, 100), data / "views")
    failed = Failed("cup", "the worker ended by signal 11", log="reading cup.glb\nSegmentation fault")
    seal_rows(data / "views", Kind.VIEWS, [Done("apple", {"split": "train"}), Done("boat", {"split": "val"}), failed])
    return data


def seal_rows(folder: Path, kind: Kind, outcomes: list[Outcome]) -> None:
    seal(folder, kind, config=CONFIG, inputs={}, outcomes=outcomes)


def _catalog(uids: list[str]) -> pa.Table:
    return pa.table(
        {
            "uid": uids,
            "title": [f"A <b>{uid}</b>" for uid in uids],
            "author": ["Ada", "Bo", "Ada", "Dee", "Eve"],
            "license": ["by", "by-nc", "cc0", "", "by"],
            "source": ["objaverse"] * 5,
            "tags": [["fruit", "Red"], ["water"], [], ["sky"], None],
            "lvis_category": ["apple", None, None, None, None],
        }
    )


def _file(uid: str) -> ObjectFile:
    split: Split = "val" if uid == "boat" else "train"
    return ObjectFile(uid, f"{uid}.glb", "0" * 64, 20, split, None, f"A <b>{uid}</b>", "by", author="Ada")
