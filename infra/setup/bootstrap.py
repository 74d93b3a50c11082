"""Make `.venv` ready: system libraries, git, uv, every pinned package. Standard library only; knows nothing of stages.

`python3.11 infra/setup/bootstrap.py` is what `make` runs first; when nothing changed it answers at once.
"""

from __future__ import annotations  # an older Python must get as far as require_python

import ast
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

UV = "uv==0.13.9"
STAMP = "bootstrap.stamp"
LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
}
"""What bpy's wheel loads but does not bring, and the Debian or Ubuntu package of each (found on a bare Debian 12)."""

INSTALL_LIMIT = 3 * 3600
"""Seconds for one installing command; 5 GB on a slow line take their time."""


class NotReadyError(Exception):
    """Something the user has to do first; the message says what."""


def say(text: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"bootstrap: {text}\n")
    sys.stdout.flush()


def require_python(version: tuple[int, int]) -> None:
    """Raise NotReadyError unless this is Python 3.11, the only version that has a wheel of every pin."""
    if version != (3, 11):
        raise NotReadyError(
            f"this is Python {version[0]}.{version[1]}, the environment needs 3.11 (bpy has no other wheel): "
            "install python3.11 and run `make PYTHON=python3.11`"
        )


def require_git(root: Path) -> None:
    """Raise NotReadyError unless git is installed and `root` lies in a repository; DVC needs both."""
    if shutil.which("git") is None:
        raise NotReadyError("git is not installed, and DVC needs it: apt-get install git")
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        raise NotReadyError(f"{root} is not a git repository, and DVC needs one: run `git init` there")


def can_load(library: str) -> bool:
    """Whether the dynamic linker finds `library`."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_libraries(loads: Callable[[str], bool] = can_load) -> list[str]:
    """Names of the shared libraries that bpy will not find; only Linux needs any."""
    return [library for library in LIBRARIES if not loads(library)] if sys.platform == "linux" else []


def apt_command(libraries: Iterable[str]) -> list[str]:
    """The apt-get command that brings `libraries`."""
    return ["apt-get", "install", "-y", "--no-install-recommends", *(LIBRARIES[library] for library in libraries)]


def require_libraries() -> None:
    """Install what bpy needs when root, raise NotReadyError with the one command otherwise."""
    missing = missing_libraries()
    if not missing:
        return
    command = apt_command(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NotReadyError(f"Blender needs {', '.join(missing)}: run  sudo {' '.join(command)}")
    say(f"installing {', '.join(command[4:])}")
    run(["apt-get", "update"])
    run(command)
    if still := missing_libraries():
        raise NotReadyError(f"{', '.join(still)} cannot be loaded although {' '.join(command)} succeeded")


def run(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a command, its output shown as it comes; raise NotReadyError with the command if it fails."""
    code = subprocess.run(command, env=environment, timeout=INSTALL_LIMIT, check=False).returncode
    if code != 0:
        raise NotReadyError(f"`{' '.join(command)}` ended with code {code}; its last lines above say why")


def pip_settings(listing: str) -> dict[str, str]:
    """Read `pip config list`: {"find-links": ..., ...}, where [install] beats [global] and PIP_* beats both."""
    rank = {"global": 0, "install": 1, ":env:": 2}
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in rank and rank[section] >= found.get(key, (0, ""))[0]:
            found[key] = (rank[section], str(ast.literal_eval(value)))
    return {key: value for key, (_, value) in found.items()}


def uv_environment(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with pip's sources said in uv's words, because uv does not read pip's settings.

    What the user set for uv stays. pip takes the best version of all indexes, so uv is told to do the same.
    """
    indexes = " ".join(settings.get("extra-index-url", "").split())
    translated = {
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": indexes,
        "UV_INDEX_STRATEGY": "unsafe-best-match" if indexes else "",
        "UV_NO_INDEX": "1" if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"} else "",
        "UV_INSECURE_HOST": " ".join(settings.get("trusted-host", "").split()),
        "SSL_CERT_FILE": settings.get("cert", ""),
    }
    return {name: value for name, value in translated.items() if value} | dict(environment)


def create_venv(venv: Path) -> Path:
    """Create the virtual environment unless it is there; return its interpreter."""
    python = venv / "bin" / "python"
    if not (venv / "bin" / "pip").exists():
        say(f"creating {venv.name}")
        try:
            run([sys.executable, "-m", "venv", str(venv)])
        except NotReadyError as error:
            raise NotReadyError(f"{error}; on Debian and Ubuntu: apt-get install python3.11-venv") from error
    return python


def install(python: Path, requirements: Path, environment: Mapping[str, str]) -> None:
    """Install every pin with uv, or with pip alone where uv cannot be had. Compiled now, not at each start."""
    pip = [str(python), "-m", "pip"]
    try:
        run([*pip, "install", "--quiet", "--disable-pip-version-check", UV], environment)
    except NotReadyError:
        say(f"{UV} cannot be installed here; pip takes over and needs about ten minutes more")
        run([*pip, "install", "--compile", "--disable-pip-version-check", "-r", str(requirements)], environment)
        return
    listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, timeout=60, check=True).stdout
    command = [str(python), "-m", "uv", "pip", "install", "--python", str(python), "--compile-bytecode"]
    run([*command, "-r", str(requirements)], uv_environment(pip_settings(listing), environment))


def stamp_of(requirements: Path) -> str:
    """What the environment is made from: changes when a pin, uv or the interpreter does."""
    return hashlib.sha256(requirements.read_bytes() + UV.encode() + sys.version.encode()).hexdigest()


def bootstrap(root: Path, environment: Mapping[str, str]) -> None:
    """Make `root/.venv` match `root/requirements.txt`; raise NotReadyError when the user has to act."""
    require_git(root)
    require_libraries()
    requirements, venv = root / "requirements.txt", root / ".venv"
    wanted, stamp = stamp_of(requirements), venv / STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return
    python = create_venv(venv)
    say(f"installing the packages of {requirements.name} (about 4 GB, with CUDA 8 GB; minutes)")
    install(python, requirements, environment)
    stamp.write_text(wanted)
    say("ready")


def main() -> int:
    """Bootstrap the folder this file belongs to."""
    try:
        require_python(sys.version_info[:2])
        bootstrap(Path(__file__).resolve().parents[2], os.environ)
    except NotReadyError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
