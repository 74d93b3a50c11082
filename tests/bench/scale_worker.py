"""Runs one step of `tests.bench.scale` in a process of its own and prints its costs as JSON.

What loads torch is imported by the steps that need it: its 400 MB are none of the others'.
"""

import json
import random
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.params import Params, load_params
from infra.execution.ray_pool import Limits, RayPool
from render.target_grid import TargetGrid
from render.views import ViewKind
from tasks.artifacts.views import ViewSet
from tasks.download import download_objects
from tasks.normalize import normalize_objects
from tasks.outcome import Failed, Outcome
from tasks.ports import Tools
from tasks.render import render_objects
from tests.bench.peak_memory import peak_mib
from tests.bench.scale_simulation import (
    SimulatedHub,
    SimulatingPool,
    resident_mib,
    simulate_measuring,
    simulate_rendering,
    write_selection,
)
from tests.tasks.toolbox import make_tools

PARAMS = Path(__file__).parents[2] / "params" / "paper.yaml"
NUM_READS = 1000
Row = dict[str, Any]
LIMITS = Limits(time_limit=600, recycle_after=1 << 62, memory_limit_gb=64)


def main(words: Sequence[str] | None = None) -> None:
    """Do the step `words[0]` for `words[1]` objects in the folder `words[2]`; print its costs."""
    step, count, folder = list(sys.argv[1:] if words is None else words)
    print(json.dumps(run_step(step, int(count), Path(folder))))  # noqa: T201 the answer to the process that asked


def run_step(step: str, count: int, folder: Path) -> Row:
    """Do a step for `count` objects in `folder`; return its costs by name."""
    return STEPS[step](count, folder, load_params(PARAMS))


def select(count: int, folder: Path, params: Params) -> Row:
    """Write the selection, which is not measured."""
    write_selection(folder / "selected", count, params.select)
    return {}


def download(count: int, folder: Path, params: Params) -> Row:
    """Fetch every object from a hub that answers at once."""
    tools = _tools(folder, "download", store=SimulatedHub())
    out = folder / "objects"
    return _measure(
        lambda: download_objects(folder / "selected", params.catalog, params.download, 0, out, tools),
        count,
        out,
        journal=tools.work / "journal.jsonl",
    )


def normalize(count: int, folder: Path, params: Params) -> Row:
    """Place every object, without measuring it."""
    pool = SimulatingPool(simulate_measuring)
    tools = _tools(folder, "normalize", pool=pool)
    out = folder / "normalized"
    shutil.rmtree(out, ignore_errors=True)  # as DVC does
    return _measure(lambda: normalize_objects(folder / "objects", params.normalize, out, tools), count, out, pool=pool)


def render(count: int, folder: Path, params: Params) -> Row:
    """Schedule every object and seal the views."""
    return _render(count, folder, params, SimulatingPool(simulate_rendering))


def render_ray(count: int, folder: Path, params: Params) -> Row:
    """Do the same through Ray, with one worker."""
    with RayPool[Outcome](failed=Failed, workers=1, limits=LIMITS, log_dir=folder / "logs") as ray:
        row = _render(count, folder, params, SimulatingPool(simulate_rendering, ray))
    notes = [float(note.read_text()) for note in (folder / "work" / "render").glob("*/worker-mib")]
    return row | {"worker_mib": max(notes)}


def _render(count: int, folder: Path, params: Params, pool: SimulatingPool) -> Row:
    tools, out = _tools(folder, "render", pool=pool), folder / "views"
    before = {path.name: path.stat().st_ino for path in out.glob("*.tar")}
    shutil.rmtree(out, ignore_errors=True)
    inputs = (folder / "objects", folder / "normalized")
    row = _measure(lambda: render_objects(*inputs, params.render, params.seed, out, tools), count, out, pool=pool)
    after = {path.name: path.stat().st_ino for path in out.glob("*.tar")}
    written = sum(before.get(name) != inode for name, inode in after.items())
    return row | {"shards": len(after), "shards_written": written}


def read(count: int, folder: Path, params: Params) -> Row:  # noqa: ARG001 of all steps
    """Open the views as train-vae does and read members at random."""
    from tasks.training.images import list_images

    start, before = time.process_time(), resident_mib()
    views = ViewSet.open(folder / "views")
    opened = time.process_time() - start
    images = list_images(views, "train")
    uids, chance = views.uids, random.Random(0)
    listed, num_images = time.process_time() - start, len(images)
    places = [(chance.choice(uids), f"t{chance.randrange(32):02d}.png") for _ in range(NUM_READS)]
    begin = time.process_time()
    for uid, name in places:
        views.reader.read(uid, name)
    per_read = (time.process_time() - begin) / NUM_READS
    return {
        "cpu": listed,
        "open_cpu": opened,
        "mib": peak_mib(),
        "own_mib": resident_mib() - before,
        "read_us": 1e6 * per_read,
        "images": num_images,
    }


def encode(count: int, folder: Path, params: Params) -> Row:  # noqa: ARG001
    """Make the rows of the latents' index, and the jobs' parts of the views' index; nothing is encoded."""
    from models.data.latent_index import LatentIndex, LatentLayout
    from tasks.encode import index_rows, shards_of

    def work() -> None:
        views = ViewSet.open(folder / "views")
        members = shards_of(views)
        first = views.uids[0]
        rows = index_rows(views, members, TargetGrid(first, views.cameras(first, ViewKind.TARGET)))
        parts = [views.only(uids) for uids in members.values()]
        assert len(parts) == len(members)
        (folder / "latents").mkdir(exist_ok=True)
        LatentIndex.of(rows).write(folder / "latents", LatentLayout(32, 8, 4, 64, 1024, {}))

    before = resident_mib()
    return _measure(work, count, folder / "latents") | {"own_mib": max(0.0, peak_mib() - before)}


def train(count: int, folder: Path, params: Params) -> Row:  # noqa: ARG001
    """Open the latents' index and look up objects, as a training does."""
    from models.data.latent_index import read_latent_index

    held, before = [], resident_mib()

    def work() -> None:
        _, index = read_latent_index(folder / "latents")
        uids = index.uids("train")
        for uid in uids[:NUM_READS]:
            assert index[uid].split == "train"
        assert index.num_conditions == 10
        held.append(index)

    return _measure(work, count, folder / "latents") | {"own_mib": resident_mib() - before}


STEPS: dict[str, Callable[[int, Path, Params], Row]] = {
    step.__name__: step for step in (select, download, normalize, render, render_ray, read, encode, train)
}


def _tools(folder: Path, stage: str, **overrides: Any) -> Tools:
    return replace(make_tools(folder, **overrides), work=folder / "work" / stage)


def _measure(
    work: Callable[[], None],
    count: int,
    out: Path,
    *,
    pool: SimulatingPool | None = None,
    journal: Path | None = None,
) -> Row:
    """Do the work; return CPU seconds of this process and those that it waited for, its peak memory, and its files."""
    start, begin = _cpu_seconds(), time.monotonic()
    work()
    files = {name: out / name for name in ("ledger.jsonl", "manifest.json", "index.safetensors")}
    sizes = {f"{Path(name).stem}_mb": path.stat().st_size / 1e6 for name, path in files.items() if path.exists()}
    if journal is not None and journal.exists():
        sizes["journal_mb"] = journal.stat().st_size / 1e6
    made = {} if pool is None else {"made": pool.num_jobs}
    costs = {"cpu": _cpu_seconds() - start, "wall": time.monotonic() - begin, "mib": peak_mib()}
    return {"objects": count, **costs, **sizes, **made}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(row.ru_utime + row.ru_stime for row in used)


if __name__ == "__main__":
    main()
