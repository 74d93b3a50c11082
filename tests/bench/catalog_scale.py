"""CPU seconds and memory of catalog and select at Objaverse's size: `python -m tests.bench.catalog_scale`.

A hub is laid out on disk as Objaverse's is: 160 metadata files with annotations as long as Sketchfab's, an index, LVIS
categories, and a table of scores for a fifth of the objects and one like Objaverse++'s for all. Each stage runs in a
process of its own.
"""

import argparse
import csv
import gzip
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from infra.execution.processes import environment
from tasks.artifacts.tables import OBJECTS
from tasks.catalog import make_catalog
from tasks.config import CatalogConfig, SelectConfig
from tasks.select import select_objects
from tests.bench.peak_memory import peak_mib
from tests.tasks.toolbox import make_tools

FOLDERS = 160
LICENCES = ("by", "by", "by", "by", "by", "by-nc", "by-nc-sa", "by-sa", "cc0")
STAGES = ("catalog", "select", "select, all filters")
FILTERS: dict[str, object] = {
    "licences": ["by", "by-sa", "cc0"],
    "flags": {"is_scene": False, "is_multi_object": False, "is_age_restricted": False},
    "between": {"num_faces": [100, 1e6], "num_animations": [0, 0], "bytes": [None, 1e8]},
    "max_objects": 100_000,
}
SCORED_SHARE = 0.21
"""TRELLIS-500K scores 168,307 of Objaverse's 798,759 objects."""


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.catalog_scale", description=__doc__)
    parser.add_argument("--objects", type=int, default=800_000)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.stage:
        print(json.dumps(measure(arguments.stage, arguments.folder)))  # noqa: T201 the answer to the process that asked
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out_hub(folder, arguments.objects)
        found = {stage: _in_a_process(stage, folder) for stage in STAGES}
    table = Table("stage", "CPU s", "peak MB", "rows", "written MB", title=f"{arguments.objects} objects")
    for stage, row in found.items():
        table.add_row(
            stage, *(f"{row[key]:.1f}" for key in ("cpu", "peak_mb")), f"{row['rows']:.0f}", f"{row['mb']:.1f}"
        )
    Console(width=100).print(table)
    if arguments.out:
        arguments.out.write_text(json.dumps(found))


def measure(stage: str, folder: Path) -> dict[str, float]:
    """Run one stage in this process; return its CPU seconds, the peak of its memory, and the size of what it leaves.

    Memory and seconds are those of the whole process, its imports included.
    """
    out = folder / stage.partition(",")[0]
    tools = make_tools(folder, hub_url=f"file://{folder}/hub")
    if stage == "catalog":
        make_catalog(_catalog(folder), 0, out, tools)
    else:
        fields: dict[str, object] = {
            "min_score": 5.0,
            "missing_score": "reject",
            "max_objects": None,
            "val_share": 0.002,
        }
        config = SelectConfig.model_validate(fields | (FILTERS if "," in stage else {}))
        select_objects(folder / "catalog", config, 0, out, tools)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mb": peak_mib(),
        "rows": pq.read_metadata(out / OBJECTS).num_rows,
        "mb": sum(file.stat().st_size for file in out.iterdir()) / 1e6,
    }


def _catalog(folder: Path) -> CatalogConfig:
    return CatalogConfig.model_validate(
        {
            "recipe": 1,
            "source": "objaverse",
            "folder": "",
            "include": ["*"],
            "max_objects": None,
            "scores": [str(folder / name) for name in ("scores.csv", "annotated.parquet")],
        }
    )


def lay_out_hub(folder: Path, num_objects: int) -> None:
    """Write the hub into `folder/hub` and the tables beside it."""
    rng = np.random.default_rng(0)
    uids = [row.tobytes().hex() for row in rng.integers(0, 256, (num_objects, 16), np.uint8)]
    hub = folder / "hub"
    (hub / "metadata").mkdir(parents=True)
    paths: dict[str, str] = {}
    for index in range(FOLDERS):
        name, members = f"000-{index:03}", uids[index::FOLDERS]
        paths |= {uid: f"glbs/{name}/{uid}.glb" for uid in members}
        notes = ",".join(f'"{uid}":{text}' for uid, text in zip(members, _annotations(members, rng), strict=True))
        _write_gzip(hub / "metadata" / f"{name}.json.gz", f"{{{notes}}}")
    _write_gzip(hub / "object-paths.json.gz", json.dumps(paths))
    checked = uids[:: max(1, num_objects // 47_000)]
    lvis = {f"category {index}": checked[index::1156] for index in range(1156)}
    _write_gzip(hub / "lvis-annotations.json.gz", json.dumps(lvis))
    _write_tables(folder, uids, rng)


def _write_tables(folder: Path, uids: Sequence[str], rng: np.random.Generator) -> None:
    with (folder / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sha256", "file_identifier", "aesthetic_score", "captions"])
        for uid in uids[: max(1, int(SCORED_SHARE * len(uids)))]:
            writer.writerow([uid * 2, f"https://sketchfab.com/3d-models/{uid}", rng.normal(6, 1), '["a mug, red"]'])
    count = len(uids)
    names = ("is_multi_object", "is_scene", "is_figure", "is_transparent", "is_single_color")
    traits = {name: rng.random(count) < 0.1 for name in names}
    table = pa.table({"UID": uids, "style": ["other"] * count, "score": rng.integers(0, 4, count), **traits})
    pq.write_table(table, folder / "annotated.parquet")


def _annotations(uids: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """Yield annotations of some 4 kB, as Sketchfab's interface gives them."""
    numbers = rng.integers(0, 1 << 20, (len(uids), 4)).tolist()
    for uid, (faces, views, size, licence) in zip(uids, numbers, strict=True):
        address = f"https://media.sketchfab.com/models/{uid}/thumbnails/{uid[::-1]}"
        images = ",".join(
            f'{{"uid":"{uid[::-1]}","size":{size},"width":{side},"url":"{address}/{side}x{side}.jpeg","height":{side}}}'
            for side in (1920, 1024, 720, 256, 64, 50)
        )
        tags = ",".join(
            f'{{"name":"tag-{(faces + index) % 9999}","slug":"tag-{(faces + index) % 9999}",'
            f'"uri":"https://api.sketchfab.com/v3/tags/tag-{(faces + index) % 9999}"}}'
            for index in range(views % 12)
        )
        yield (
            f'{{"uri":"https://api.sketchfab.com/v3/models/{uid}","uid":"{uid}","name":"Thing {uid[:8]}",'
            f'"staffpickedAt":null,"viewCount":{views},"likeCount":{views % 97},"animationCount":{int(faces % 9 == 0)},'
            f'"viewerUrl":"https://sketchfab.com/3d-models/{uid}","embedUrl":"https://sketchfab.com/models/{uid}/embed",'
            f'"commentCount":0,"isDownloadable":true,"publishedAt":"2021-04-20T12:34:56.{faces:06}","tags":[{tags}],'
            f'"categories":[{{"name":"furniture-home"}}],"thumbnails":{{"images":[{images}]}},'
            f'"user":{{"uid":"{uid}","username":"user{faces % 100_000}","displayName":"User {faces % 100_000}",'
            f'"profileUrl":"https://sketchfab.com/user{faces}","account":"basic","avatar":{{"images":[{images}]}}}},'
            f'"description":"{"What it is and how it was made. " * (faces % 20)}","faceCount":{faces},'
            f'"createdAt":"2021-04-20T12:00:00","vertexCount":{faces // 2},"isAgeRestricted":false,"archives":{{'
            f'"glb":{{"textureCount":2,"size":{size},"type":"glb","textureMaxResolution":1024,"faceCount":{faces},'
            f'"vertexCount":{faces // 2}}},"gltf":{{"textureCount":2,"size":{size},"type":"gltf"}}}},'
            f'"license":"{LICENCES[licence % len(LICENCES)]}"}}'
        )


def _write_gzip(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))


def _in_a_process(stage: str, folder: Path) -> dict[str, float]:
    words = [sys.executable, "-m", "tests.bench.catalog_scale", "--stage", stage, "--folder", str(folder)]
    answer = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment({}), timeout=3600)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
