"""Install the browser that drives the pages in tests: Debian's chromium. Standard library only.

Playwright's own browsers are never downloaded. Ubuntu's package of this name is a snap, which root cannot run headless
in a container, so there the tests of pages are skipped unless another Chromium or Chrome is on the path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
OS_RELEASE = Path("/etc/os-release")
INSTALL_LIMIT = 1800
"""Seconds for 100 MB and what they need."""


def found() -> str | None:
    """Return the path of a browser that can drive the pages; None: there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def distribution(text: str) -> Mapping[str, str]:
    """Read an os-release file."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip().strip('"') for name, _, value in pairs}


def obstacle(release: Mapping[str, str], user: int) -> str | None:
    """Return why the browser cannot be installed here, with the remedy; None: it can."""
    if release.get("ID") != "debian":
        name = release.get("PRETTY_NAME", "this system")
        return f"{name} is not Debian: install Chromium or Chrome by its own means, as one of {', '.join(NAMES)}"
    if user != 0:
        return "only root installs packages: run  sudo apt-get install -y --no-install-recommends chromium"
    return None


def main() -> int:
    """Install it where it is missing; return the exit code."""
    if at := found():
        print(f"browser: {at}")  # noqa: T201 a script
        return 0
    release = distribution(OS_RELEASE.read_text()) if OS_RELEASE.exists() else {}
    if why := obstacle(release, os.geteuid()):
        print(f"browser: {why}", file=sys.stderr)  # noqa: T201
        return 1
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
        code = subprocess.run(command, timeout=INSTALL_LIMIT, check=False).returncode
        if code:
            print(f"browser: `{' '.join(command)}` ended with code {code}; see above", file=sys.stderr)  # noqa: T201
            return 1
    return 0 if found() else 1


if __name__ == "__main__":
    sys.exit(main())
