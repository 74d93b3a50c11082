"""Does the method learn? The pipeline on small objects, whole and without its parts: `python -m tests.bench.study`.

Prints two tables, and leaves a picture and each variant as a project of its own (make study).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flows.params_edit import set_params
from infra.execution.processes import environment
from tasks.sources.procedural.objects import ROUND
from tests.bench.study_report import differences, table, write_picture
from tests.project_copy import ROOT, copy_project

FAMILIES = ("mug", "chair", "car", "mushroom", "duck", "snowman")
SMALL: dict[str, Any] = {
    "catalog.include": [f"{family}-*" for family in FAMILIES],
    "catalog.procedural_indices": 40 * ROUND,
    "select.max_procedural": None,
    "select.val_share": 0.1,
    "render.quality": "draft",
    "render.resolution": 32,
    "render_test.train_objects": 6,
    "render_test.held_out_objects": 12,
    "render_test.conditions": 8,
    "render_test.ring_views": 0,
    "sample.conditions": [1, 2, 4, 8],
    "train_vae.vae.block_out_channels": [16, 32, 64],
    "train_vae.loop.samples": 24000,
    "encode.image_encoder.image_size": 32,
    "train_stage1.unet.block_out_channels": [48, 96],
    "train_stage1.unet.attention_head_dim": [2, 3],
    "train_stage3.multi_condition_share": 0.5,
    "train_stage3.multi_conditions": [2, 8],
}
SAMPLES = {"train_stage1": 5000, "train_stage2": 4000, "train_stage3": 12000}
for _stage, _samples in SAMPLES.items():
    SMALL |= {
        f"{_stage}.kept_targets": 6,
        f"{_stage}.loop.samples": _samples,
        f"{_stage}.loop.validate_every": 500,
        f"{_stage}.loop.checkpoint_every": 500,
        f"{_stage}.loop.log_every": 50,
        f"{_stage}.optimizer.learning_rate": 2.0e-3,
    }
VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "each view alone": {"train_stage1.unet.global_attention": False},
    "no view embedding": {"train_stage1.unet.view_embedding": False},
}


def main(words: Sequence[str] | None = None) -> None:
    """Make the data once, then every variant."""
    arguments = _parser().parse_args(words)
    folder: Path = arguments.folder.resolve()
    changes = SMALL | json.loads(arguments.set)
    base = _project(folder / "data-and-vae", changes)
    for target in ("encode", "render-test"):
        _repro(base, target, arguments.threads)

    def make(name: str) -> Path:
        project = folder / name.replace(" ", "-")
        if not project.exists():
            shutil.copytree(base, project, symlinks=True)
        set_params(project / "params.yaml", changes | VARIANTS[name])
        _repro(project, "evaluate", max(1, arguments.threads // arguments.jobs))
        return project

    chosen = [name for name in VARIANTS if not arguments.variants or name in arguments.variants]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        projects = dict(zip(chosen, pool.map(make, chosen), strict=True))
    print("\n".join([*table(projects), "", *differences(projects)]))  # noqa: T201 the answer
    write_picture(projects, folder / "study.png")


def _project(folder: Path, changes: Mapping[str, Any]) -> Path:
    """A project of its own: the code, the graph, and the numbers of the study."""
    if not folder.exists():
        copy_project(folder)
    set_params(folder / "params.yaml", changes)
    return folder


def _repro(project: Path, target: str, threads: int) -> None:
    profile = YAML(typ="safe").load(ROOT / "infra" / "profiles" / "laptop.yaml")
    profile |= {"workers": threads, "threads": threads}
    with (project / "profile.yaml").open("w") as handle:
        YAML(typ="safe").dump(profile, handle)
    env = environment({"MVDPP_PROFILE": str(project / "profile.yaml")})
    with (project / "log.txt").open("a") as log:
        command = [sys.executable, "-m", "dvc", "repro", target]
        done = subprocess.run(command, cwd=project, env=env, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise SystemExit(f"{project.name}: dvc repro {target} failed; its last words are in {project / 'log.txt'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.study", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".work" / "study", help="for the projects; goes on there")
    parser.add_argument("--variants", nargs="*", default=[], help="names; default: all")
    parser.add_argument("--jobs", type=int, default=2, help="variants at a time")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of all together")
    parser.add_argument("--set", default="{}", help="other values of params.yaml, as JSON")
    return parser


if __name__ == "__main__":
    main()
