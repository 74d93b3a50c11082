"""Writes what is to be published beside a data set of views: its card, who made its objects, and Croissant metadata."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.artifacts.atomic import atomic_folder, write_bytes
from tasks.artifacts.licences import LICENCES, licence_name
from tasks.artifacts.manifest import Kind, open_manifest
from tasks.artifacts.tables import OBJECTS, ObjectFile, read_objects
from tasks.artifacts.views import ViewSet
from tasks.commands.croissant import croissant
from tasks.commands.export_model import check_new
from tasks.commands.hub_card import CARD, front_matter, license_link
from tasks.report.words import counted

CROISSANT, ATTRIBUTION = "croissant.json", "attribution.csv"
COLUMNS = ("uid", "title", "author", "license", "license_url", "address", "split")
"""Columns of the attribution: what CC BY 4.0 asks for, section 3(a)(1)."""


def write_dataset_card(views: Path, objects: Path, out: Path, name: str) -> Path:
    """Write README.md, attribution.csv and croissant.json about a view set into the new folder `out`.

    Args:
        views: A sealed view set, such as data/views.
        objects: The sealed folder of the objects that it shows, which knows their licences and authors.
        out: The new folder.
        name: The data set's name.

    Returns the card. Raises ValueError when a folder is not sealed, when `out` exists, and when the view set shows an
    object that `objects` does not know.
    """
    open_manifest(objects, Kind.OBJECTS)
    check_new(out)
    known = {row.uid: row for row in read_objects(objects / OBJECTS)}
    shown = ViewSet.open(views)
    unknown = [uid for uid in shown.uids if uid not in known]
    if unknown:
        raise ValueError(
            f"{views} shows {len(unknown)} objects that {objects} does not know, such as {unknown[0]}: give the folder "
            "of its objects with --objects"
        )
    rows = [attribution(known[uid]) for uid in shown.uids]
    table = _as_csv(rows).encode()
    counts = count_rows(rows)
    with atomic_folder(out) as part:
        write_bytes(part / ATTRIBUTION, table)
        metadata = croissant(name, about(shown), sorted(licence_urls(counts)), ATTRIBUTION, table, COLUMNS)
        write_bytes(part / CROISSANT, (json.dumps(metadata, indent=2) + "\n").encode())
        write_bytes(part / CARD, card(name, about(shown), counts).encode())
    return out / CARD


def attribution(row: ObjectFile) -> dict[str, str]:
    """Return who made an object and under which licence it may be used."""
    spdx = licence_name(row.license)
    return {
        "uid": row.uid,
        "title": row.title,
        "author": row.author,
        "license": spdx or "unknown",
        "license_url": LICENCES[spdx].url if spdx in LICENCES else "",
        "address": f"https://sketchfab.com/3d-models/{row.uid}" if row.source == "objaverse" else "",
        "split": row.split,
    }


def count_rows(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Count objects by licence, the most frequent first."""
    counted = Counter(row["license"] for row in rows)
    return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))


def licence_urls(counts: Mapping[str, int]) -> list[str]:
    """Return the addresses of the licences that are known; the names of the others."""
    return [LICENCES[name].url if name in LICENCES else name for name in counts]


def about(views: ViewSet) -> str:
    """Return one sentence on what the data set is; all objects have as many views as the first."""
    first = views.uids[0]
    names = views.names(first)
    side = views.image(first, names[0]).shape[0]
    return (
        f"{len(names)} views of each of {counted(len(views.uids), '3D object')}: RGBA, {side} x {side} pixels, with "
        "cameras, rendered for MVDiffusion++ (arXiv 2402.12712)."
    )


def card(name: str, description: str, counts: Mapping[str, int]) -> str:
    """Return the card: Markdown with the front matter of data sets at the Hugging Face hub."""
    total = sum(counts.values())
    rows = "".join(f"| {licence} | {count:,} |\n" for licence, count in counts.items())
    front = front_matter(name, total, counts, ["webdataset"], **license_link(counts, ATTRIBUTION))
    return f"""{front}# {name}

{description}

- `shard-*.tar` are WebDataset shards: `<uid>.<view>.png` with straight alpha, and `<uid>.cameras.json`. Views t00,
  t01, ... are targets, c00, c01, ... condition views; a camera is `world_from_camera` with its field of view.
- `{ATTRIBUTION}` names title, author, licence and address of every object; `{CROISSANT}` describes the files
  (MLCommons Croissant 1.1).
- Objects that were rejected, with the reason, are in the ledger beside the shards.

## Licences

The views are derived from objects that keep the licences of their authors. Who publishes or uses them has to keep to
each: name the author (BY), share alike (SA), without commercial use (NC), without derived works (ND).

| licence | objects |
| --- | --- |
{rows}"""


def _as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
