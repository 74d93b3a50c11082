"""Checks of this machine, each of one thing and with its remedy.

Standard library only, and everything heavy in a child process, so that a check also answers where what it looks for is
missing.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from infra.addresses import shown
from infra.health import mlflow_error
from infra.setup import bootstrap

PROBE_LIMIT = 180
"""Seconds for a child process; cold imports on a slow disk take half a minute."""
NETWORK_LIMIT = 5

CUBE = """
import sys
from render.blender.scene import bpy
bpy.ops.wm.read_factory_settings()
scene = bpy.context.scene
scene.render.engine, scene.cycles.samples = "CYCLES", 1
scene.render.resolution_x = scene.render.resolution_y = 16
scene.render.filepath = sys.argv[1]
bpy.ops.render.render(write_still=True)
print("Blender", bpy.app.version_string, "renders")
"""
NODES = """
import sys, tempfile
from dataclasses import dataclass
from pathlib import Path
from infra.execution.ray_pool import Limits, RayPool
@dataclass
class Job:
    uid: str
@dataclass
class Failed:
    uid: str
    error: str
    log: str
    attempts: int
with tempfile.TemporaryDirectory() as folder:
    limits = Limits(time_limit=60, recycle_after=1, memory_limit_gb=64)
    with RayPool(failed=Failed, workers=1, limits=limits, log_dir=Path(folder), address=sys.argv[1] or None) as pool:
        [answer] = pool.run(lambda job: "a worker answers", [Job("probe")])
sys.exit(answer.error) if isinstance(answer, Failed) else print(answer)
"""
TORCH = """
import torch
gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
print(f"torch {torch.__version__}, {gpu}")
"""


@dataclass(frozen=True)
class Check:
    """What was found out about one thing; `remedy` is empty where nothing is to be done."""

    name: str
    status: Literal["PASS", "WARN", "FAIL"]
    detail: str
    remedy: str = ""


def check_python(version: tuple[int, int]) -> Check:
    """Is this Python 3.11?"""
    try:
        bootstrap.require_python(version)
    except bootstrap.NotReadyError as error:
        return Check("python", "FAIL", f"{version[0]}.{version[1]}", str(error))
    return Check("python", "PASS", sys.version.split()[0])


def check_packages(requirements: Path) -> Check:
    """Is every pin installed in its version?"""
    pins = [line.split("==") for line in requirements.read_text().splitlines() if "==" in line and line[0] != "#"]
    wrong = []
    for name, version in pins:
        try:
            found = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found = "missing"
        if found != version:
            wrong.append(f"{name} {found}, not {version}")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return Check("packages", "FAIL", "; ".join(wrong[:3]) + more, f"rm -f .venv/{bootstrap.STAMP}; make bootstrap")
    return Check("packages", "PASS", f"{len(pins)} as pinned")


def check_libraries(missing: Sequence[str]) -> Check:
    """Are the system libraries there that Blender loads?"""
    if missing:
        return Check("libraries", "FAIL", ", ".join(missing), f"sudo {' '.join(bootstrap.apt_command(missing))}")
    return Check("libraries", "PASS", "all that Blender loads")


def check_git(root: Path) -> Check:
    """Is `root` in a git repository, as DVC wants it?"""
    try:
        bootstrap.require_git(root)
    except bootstrap.NotReadyError as error:
        return Check("git", "FAIL", "not usable", str(error))
    return Check("git", "PASS", "repository found")


def check_dvc(root: Path) -> Check:
    """Is `root` a DVC repository, and can its default remote be reached?"""
    config = configparser.ConfigParser(interpolation=None)
    if not config.read(root / ".dvc" / "config"):
        return Check("dvc", "FAIL", f"no .dvc/config in {root}", "git checkout .dvc, or: dvc init")
    name = config.get("core", "remote", fallback="")
    section = f"'remote \"{name}\"'"
    if not name:
        return Check(
            "dvc", "PASS", "no remote: artifacts stay on this machine (`dvc remote add -d NAME URL` shares them)"
        )
    url = config.get(section, "url", fallback="")
    address = config.get(section, "endpointurl", fallback="") or url
    if not url:
        return Check("dvc", "FAIL", f"remote {name} has no url", f"dvc remote add -f -d {name} URL")
    is_there = _answers(address) if "://" in address else (root / ".dvc" / address).exists()
    if not is_there and not address.startswith("s3://"):
        return Check(
            "dvc",
            "WARN",
            f"remote {name} at {shown(address)} cannot be reached",
            "start it, or run without push and pull",
        )
    return Check("dvc", "PASS", f"remote {name} at {shown(url)}")


def check_disk(free_gb: float) -> Check:
    """Is there room for data and models?"""
    if free_gb < 20:
        status: Literal["WARN", "FAIL"] = "FAIL" if free_gb < 2 else "WARN"
        return Check(
            "disk",
            status,
            f"{free_gb:.1f} GB free",
            "free some; the embedded default needs 2 GB, real data 20 GB and more",
        )
    return Check("disk", "PASS", f"{free_gb:.0f} GB free")


def check_memory(memory_gb: float, workers_gb: float) -> Check:
    """Does what all workers may take fit into memory?"""
    detail = f"{memory_gb:.1f} GB, all workers together may take {workers_gb:.1f} GB"
    if memory_gb < 4:
        return Check("memory", "FAIL", detail, "training and rendering need 4 GB")
    if workers_gb > memory_gb:
        return Check("memory", "WARN", detail, "lower `workers` or `memory_limit_gb` in the profile")
    return Check("memory", "PASS", detail)


def check_tracking(uri: str | None, root: Path) -> Check:
    """Can MLflow's store be used? None: mlruns/mlflow.db in the project."""
    if uri is not None and uri.startswith(("http://", "https://")):
        error = mlflow_error(uri, NETWORK_LIMIT)
        if error is None:
            return Check("mlflow", "PASS", uri)
        return Check(
            "mlflow", "FAIL", f"{uri}: {error}", "start the server, or set tracking_uri to null in the profile"
        )
    if uri is not None and not uri.startswith("sqlite:///"):
        return Check("mlflow", "WARN", f"{uri} is not a kind of store that can be checked")
    return _check_database(root / "mlruns" / "mlflow.db" if uri is None else Path(uri.removeprefix("sqlite:///")))


def _check_database(path: Path) -> Check:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        return Check("mlflow", "FAIL", f"{folder} cannot be written", f"chown or chmod {folder}")
    if path.exists():
        connection = sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            return Check("mlflow", "FAIL", f"{path}: {error}", "move the file away; the next run makes a new one")
        finally:
            connection.close()
    return Check("mlflow", "PASS", str(path))


def check_s3(endpoint: str | None) -> Check:
    """Does the S3 server answer?"""
    if endpoint is None:
        return Check("s3", "PASS", "no server of our own in the profile")
    if not _answers(endpoint):
        return Check("s3", "FAIL", f"{endpoint} does not answer", "start it, or set s3_endpoint to null in the profile")
    return Check("s3", "PASS", endpoint)


def check_torch(device: str, root: Path) -> Check:
    """Can torch compute where the profile wants it?"""
    code, words = _probe(TORCH, root)
    if code != 0:
        return Check("torch", "FAIL", words, "make bootstrap")
    if device == "cuda" and words.endswith("no GPU"):
        remedy = "set device to auto in the profile, or install the GPU's driver and a CUDA build of torch"
        return Check("torch", "FAIL", f"{words}, but the profile wants cuda", remedy)
    if words.endswith("no GPU") and shutil.which("nvidia-smi"):
        return Check(
            "torch", "WARN", f"{words}, though this machine seems to have one", "install a CUDA build of torch"
        )
    return Check("torch", "PASS", words)


def check_blender(root: Path) -> Check:
    """Does Blender render a cube?"""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "cube.png"
        code, words = _probe(CUBE, root, str(picture))
        if code != 0 or not picture.exists():
            return Check("blender", "FAIL", words, "the checks above first; then: make bootstrap")
    return Check("blender", "PASS", words)


def check_ray(address: str | None, root: Path) -> Check:
    """Does a Ray worker answer, here or on the cluster of the profile?"""
    code, words = _probe(NODES, root, address or "")
    if code != 0:
        return Check("ray", "FAIL", words, "start or correct ray_address, or set pool to serial in the profile")
    return Check("ray", "PASS", words)


def _probe(script: str, root: Path, *arguments: str) -> tuple[int, str]:
    """Run `script` in a child process; its exit code and the last line it printed."""
    command = [sys.executable, "-c", script, *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=PROBE_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return 1, f"no answer in {PROBE_LIMIT} s"
    lines = (done.stdout if done.returncode == 0 else done.stdout + done.stderr).split("\n")
    return done.returncode, next((line for line in reversed(lines) if line.strip()), f"exit code {done.returncode}")


def _answers(url: str) -> bool:
    """Whether something listens at the address."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "", port), timeout=NETWORK_LIMIT):
            return True
    except (OSError, ValueError):
        return False
