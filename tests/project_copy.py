"""The project itself in a folder of its own, to be run there."""

import shutil
import subprocess
from pathlib import Path

import yaml

from infra.profile import PROFILES

ROOT = Path(__file__).parents[1]
CODE = ("flows", "tasks", "render", "models", "infra")


def copy_project(folder: Path) -> Path:
    """Code, graph and committed parameters, a git repository, and the folders of objects, empty."""
    folder.mkdir(parents=True)
    for name in CODE:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".gitignore"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    for name in ("source", "gso_source", "peers"):
        (folder / "data" / name).mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True, timeout=600)
    return folder


def write_profile(path: Path, base: str = "ci", **values: object) -> Path:
    """Write a shipped profile with some values changed."""
    path.write_text(yaml.safe_dump(yaml.safe_load((PROFILES / f"{base}.yaml").read_text()) | values))
    return path
