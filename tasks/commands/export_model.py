"""Copies a trained model as a folder to publish: the model as it is, and its scores beside the card."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tasks.artifacts.atomic import atomic_folder, write_bytes
from tasks.artifacts.cases import DISTILLED
from tasks.artifacts.manifest import Kind, open_manifest
from tasks.report.hub_results import BESIDE_CARD, FOLDER


def export_model(model: Path, report: Path, out: Path) -> Path:
    """Copy a model folder to `out` and put the report's scores of it into `.eval_results`, where hubs look for them.

    Args:
        model: A sealed model, such as models_out/stage3 or models_out/distilled; its name says which stage made it.
        report: The sealed report of the run that evaluated it.
        out: The new folder.

    Returns the file of scores. Raises ValueError when a folder is not sealed, when `out` exists, and when the report is
    about other weights.
    """
    manifest, evaluated = open_manifest(model, Kind.DIFFUSION_MODEL), open_manifest(report, Kind.REPORT)
    check_new(out)
    stage = "distil" if model.name == DISTILLED else f"train-{model.name}"
    scored = evaluated.inputs.get(stage)
    scores = report / FOLDER / f"{model.name}.yaml"
    if scored != manifest.fingerprint or not scores.exists():
        raise ValueError(f"{report} does not evaluate {model}; make it with `python -m flows run evaluate`")
    copy_with_scores(model, scores, out)
    return out / BESIDE_CARD


def check_new(out: Path) -> None:
    """Raise ValueError when `out` exists."""
    if out.exists():
        raise ValueError(f"{out} exists; export into another folder, or delete it")


def copy_with_scores(model: Path, scores: Path, out: Path, leave_out: Sequence[str] = ()) -> None:
    """Copy a model folder to `out`, which must not exist, with a file of scores beside its card.

    Args:
        model: A training stage's folder.
        scores: What `write_hub_results` has written for it.
        out: The new folder.
        leave_out: Names of files and folders that are not copied.
    """
    with atomic_folder(out) as part:
        shutil.copytree(model, part, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*leave_out))
        write_bytes(part / BESIDE_CARD, scores.read_bytes())
