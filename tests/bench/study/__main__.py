"""Makes a study: `python -m tests.bench.study tests/bench/studies/parts.yaml` (make study).

Data are made once for every recipe of data, trainings once for all variants that do not differ before them. What is
finished is kept: the same command goes on where a killed one was left, and other params make their own runs anew.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.wiring import open_pool
from infra.profile import Profile, load_profile, resolve
from infra.progress import TerminalProgress
from infra.tracking import TrackingStore
from tasks.commands.export_model import check_new
from tasks.outcome import Failed, Outcome
from tasks.ports import collect
from tests.bench.study.data import Data, make_data
from tests.bench.study.page import MARKDOWN, PAGE, Progress, write_study
from tests.bench.study.release import released_run, write_release
from tests.bench.study.results import Results, Run
from tests.bench.study.run import CellJob, run_cell
from tests.bench.study.spec import Cell, Study, list_cells, load_study
from tests.project_copy import ROOT

DEFAULT = ROOT / "tests" / "bench" / "studies" / "parts.yaml"
FOREVER = 30 * 24 * 3600.0
"""Seconds that a run may take in a worker."""


def main(words: Sequence[str] | None = None) -> int:
    """Make the data, then every run, then the page; return 1 when a run has failed."""
    arguments = _parser().parse_args(words)
    if arguments.release:
        check_new(arguments.release)  # not after an hour of training
    study = _study(arguments)
    folder = (arguments.out or ROOT / ".work" / "study" / study.name).resolve()
    cells = list_cells(study)
    profile = _profile(arguments)
    resources = resolve(profile)
    data = _data(cells, study.baseline, folder, profile.model_copy(update={"threads": resources.threads}))
    threads = resources.threads_each(1 if profile.pool == "serial" else resources.workers)
    alone = {"pool": "serial", "workers": 1, "trainers": 1, "launcher": [], "ray_address": None, "threads": threads}
    jobs = [CellJob(study.name, cell, data[cell.data_key], folder, profile.model_copy(update=alone)) for cell in cells]
    outcomes = [] if arguments.report else _make(jobs, folder, profile)
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    done = [Run.load(job) for job in jobs if job.is_done]
    if done:
        results = Results(study, done)
        write_study(results, Progress(len(jobs), failed), folder)
        if arguments.release and (run := released_run(results)):
            write_release(run, arguments.release)
        sys.stdout.write(f"{(folder / MARKDOWN).read_text()}\n{folder / PAGE}\n")
    for outcome in failed:
        sys.stderr.write(f"{outcome.uid} failed: {outcome.error}\n")
    return 1 if failed or not done else 0


def _study(arguments: argparse.Namespace) -> Study:
    """The study of the file, with what the command line changes."""
    study = load_study(arguments.study)
    changes: dict[str, Any] = {"params": study.params | _of_folder(arguments.folder) | json.loads(arguments.set)}
    if arguments.variants:
        if unknown := set(arguments.variants) - set(study.variants):
            raise SystemExit(f"no variant {', '.join(sorted(unknown))}; the variants are {', '.join(study.variants)}")
        chosen = {study.baseline, *arguments.variants}
        changes["variants"] = {name: variant for name, variant in study.variants.items() if name in chosen}
    changes |= {name: tuple(value) for name in ("seeds", "budgets") if (value := getattr(arguments, name))}
    return Study.model_validate(study.model_dump() | changes)


def _of_folder(folder: Path | None) -> dict[str, Any]:
    """What makes a folder the source of the objects."""
    if folder is None:
        return {}
    return {"catalog.source": "folder", "catalog.folder": str(folder.resolve()), "catalog.include": ["*"]}


def _profile(arguments: argparse.Namespace) -> Profile:
    """One process after the other, so many workers of a private Ray, or what a profile says."""
    if arguments.profile:
        profile = load_profile(arguments.profile)
    else:
        profile = load_profile("laptop").model_copy(
            update={"pool": "serial" if arguments.jobs == 1 else "ray", "workers": arguments.jobs}
        )
    changes: dict[str, Any] = {"time_limit": FOREVER}
    return profile.model_copy(update=changes | ({"threads": arguments.threads} if arguments.threads else {}))


def _data(cells: Sequence[Cell], baseline: str, folder: Path, profile: Profile) -> dict[str, Data]:
    """Make the data of every recipe, the baseline's first: the others take over what they share with it."""
    recipes = {cell.data_key: cell.params for cell in sorted(cells, key=lambda cell: cell.variant != baseline)}
    data: dict[str, Data] = {}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for key, params in recipes.items():
        like = next((made.project for made in data.values()), None)
        data[key] = make_data(folder / "data" / key, params, profile, like)
    return data


def _make(jobs: Sequence[CellJob], folder: Path, profile: Profile) -> list[Outcome]:
    """Make the runs that have no result yet."""
    # lines, no bar: each run shows a bar of its own
    progress = TerminalProgress(Console(stderr=True, force_terminal=False))
    todo = [job for job in jobs if not job.is_done]
    if len(todo) < len(jobs):
        progress.note(f"study: {len(jobs) - len(todo)} of {len(jobs)} runs were made before, {len(todo)} to go")
    TrackingStore(folder, profile.tracking_uri)  # its tables are made once, not by every worker at the same time
    with open_pool(profile, resolve(profile), folder / "logs") as pool:
        return collect(pool, progress, "study", run_cell, todo)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.study", description=__doc__)
    parser.add_argument("study", type=Path, nargs="?", default=DEFAULT, help="YAML file (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="for everything; goes on there (default: .work/study/NAME)")
    parser.add_argument("--folder", type=Path, help="folder of objects instead of the study's own")
    parser.add_argument("--variants", nargs="*", default=[], help="names; default: all. The baseline is always there")
    parser.add_argument("--seeds", nargs="*", type=int, default=[], help="default: the study's")
    parser.add_argument("--budgets", nargs="*", type=int, default=[], help="training samples; default: the study's")
    parser.add_argument("--set", default="{}", help="other values of params.yaml, as JSON")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time: above 1 workers of a private Ray")
    parser.add_argument("--profile", help="where and how fast instead of --jobs: the pool of a profile")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of all runs together")
    parser.add_argument("--release", type=Path, metavar="OUT", help="new folder for the baseline's model, ready to use")
    parser.add_argument("--report", action="store_true", help="only write tables and page of what is finished")
    return parser


if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    sys.exit(main())
