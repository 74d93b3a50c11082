"""The columns of a catalog: what sources and tables of scores say of an object. Null: nobody said it."""

from typing import get_args

import pyarrow as pa

from tasks.config import Flag

SCORE_SOURCE = "score_source"
"""Column that names the table, or the source, from which an object's score is."""
QUALITY = "quality"
"""Column of Objaverse++'s quality class: 0 low, 1 medium, 2 high, 3 superior (arXiv 2504.07334)."""
FLAGS: tuple[Flag, ...] = get_args(Flag)

CATALOG = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("location", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("title", pa.string(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("author", pa.string(), nullable=False),
        pa.field("up_axis", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field(SCORE_SOURCE, pa.string()),
        pa.field(QUALITY, pa.int64()),
        *(pa.field(flag, pa.bool_()) for flag in FLAGS),
        pa.field("lvis_category", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("categories", pa.list_(pa.string())),
        pa.field("num_faces", pa.int64()),
        pa.field("num_vertices", pa.int64()),
        pa.field("num_animations", pa.int64()),
        pa.field("view_count", pa.int64()),
        pa.field("like_count", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("published", pa.string()),
        pa.field("thumbnail", pa.string()),
    ]
)
"""The first columns, up to the hash, are those of tasks.artifacts.tables.Entry. `published` is a date and time as
the hub writes it (ISO 8601), `thumbnail` an address."""
SELECTED = CATALOG.append(pa.field("split", pa.string(), nullable=False))
"""A catalog's columns, and the split of a kept object."""
