"""A real DVC project of three stages that each take a moment: first -> second -> third, made in a temporary folder."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

JOB = """
import pathlib, sys, time, yaml
name, out = sys.argv[1:]
params = yaml.safe_load(open("params.yaml"))[name]
time.sleep(params["seconds"])
folder = pathlib.Path(out)
folder.mkdir(parents=True)
(folder / "result.txt").write_text(f"{name} {params['depth']}")
with open("ran.log", "a") as log:
    log.write(name + "\\n")
sys.exit(params["exit"])
"""
DVC_YAML = """
stages:
  first:
    desc: the first of three
    cmd: python job.py first data/first
    deps: [source.txt]
    params: [seed, first]
    outs: [data/first]
    meta: {prefect: {retries: 1, retry_delay_seconds: 0, timeout_seconds: 60}}
  second:
    cmd: python job.py second data/second
    deps: [data/first]
    params: [second]
    outs: [data/second]
  third:
    cmd: python job.py third data/third
    deps: [data/second, data/first]
    params: [third]
    outs: [data/third]
"""
PARAMS = """# what changes a result
seed: 0
first: {depth: 3, seconds: 0, exit: 0, light: {sun: 1.5}}  # the first
second: {depth: 3, seconds: 0, exit: 0}
third: {depth: 3, seconds: 0, exit: 0}
"""


def copy_repo(root: Path, *, made: bool = False) -> Path:
    """A project at `root`, which must not exist: fresh, or `made`, with every stage up to date."""
    return Path(shutil.copytree(_made() if made else _fresh(), root))


@functools.cache
def _made() -> Path:
    root = _folder()
    shutil.copytree(_fresh(), root, dirs_exist_ok=True)
    repro(root)
    return root


def _folder() -> Path:
    """A new folder among the temporary files of the tests, which pytest removes (tests/conftest.py)."""
    return Path(tempfile.mkdtemp(prefix="tiny-repo-"))


@functools.cache
def _fresh() -> Path:
    root = _folder()
    files = {"dvc.yaml": DVC_YAML, "params.yaml": PARAMS, "job.py": JOB, "source.txt": "source", "ran.log": ""}
    for name, text in files.items():
        (root / name).write_text(text)
    (root / ".gitignore").write_text("/data/\n/.work/\n/ran.log\n")
    run(root, "git", "init", "-q")
    run(root, sys.executable, "-m", "dvc", "init", "-q")
    run(root, sys.executable, "-m", "dvc", "config", "core.analytics", "false")
    run(root, "git", "add", ".")
    run(root, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "start")
    return root


def repro(root: Path, *words: str) -> None:
    """Run `dvc repro` in the project."""
    run(root, sys.executable, "-m", "dvc", "repro", *words)


def edit(root: Path, old: str, new: str, name: str = "params.yaml") -> None:
    """Replace a text that must occur in a file of the project."""
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new, 1))


def runs(root: Path) -> list[str]:
    """The stages whose command ran, in order."""
    return (root / "ran.log").read_text().split()


def run(root: Path, *words: str) -> None:
    """Run a command in `root`; its output becomes the error when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(words, cwd=root, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
