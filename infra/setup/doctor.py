"""Is this machine ready? The checks in order, and the table.

Standard library only: it also runs where nothing is installed yet (`python3.11 -m infra.setup.doctor`).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infra.setup import bootstrap, checks
from infra.setup.checks import Check

if TYPE_CHECKING:
    from infra.profile import Profile

GIB = 2**30


def run_doctor(profile: Profile | None, root: Path, show: Callable[[Check], None] | None = None) -> list[Check]:
    """Check everything `profile` needs in the project at `root`; `show` is told of each check as it ends.

    Without a profile (the packages that read one are missing) only the environment is checked.
    """
    found = []
    for check in _examine(profile, root):
        found.append(check)
        if show is not None:
            show(check)
    return found


def exit_code(found: Sequence[Check]) -> int:
    """0 when nothing failed; warnings do not count."""
    return int(any(check.status == "FAIL" for check in found))


def render(found: Sequence[Check]) -> str:
    """The table, a line per check and one for each remedy."""
    lines = []
    for check in found:
        lines.append(f"{check.status}  {check.name:<10} {check.detail}")
        if check.remedy:
            lines.append(f"{'':<17}-> {check.remedy}")
    return "\n".join(lines)


def _examine(profile: Profile | None, root: Path) -> Iterator[Check]:
    """Cheap checks first; nothing beyond the first when Python is another, for this code would not run."""
    python = checks.check_python(sys.version_info[:2])
    yield python
    if python.status == "FAIL":
        return
    yield checks.check_packages(root / "requirements.txt")
    yield checks.check_libraries(bootstrap.missing_libraries())
    yield checks.check_git(root)
    yield checks.check_dvc(root)
    yield checks.check_disk(shutil.disk_usage(root).free / GIB)
    if profile is not None:
        yield from _examine_profile(profile, root)


def _examine_profile(profile: Profile, root: Path) -> Iterator[Check]:
    # Not at the top: a profile is read with packages that may be missing, and doctor runs without them.
    from infra.machine import available_memory_gb
    from infra.profile import resolve

    yield checks.check_memory(available_memory_gb(), resolve(profile).workers * profile.memory_limit_gb)
    yield checks.check_tracking(profile.tracking_uri, root)
    yield checks.check_s3(profile.s3_endpoint)
    yield checks.check_torch(profile.device, root)
    yield checks.check_blender(root)
    if profile.pool == "ray":
        yield checks.check_ray(profile.ray_address, root)


if __name__ == "__main__":
    table = run_doctor(None, Path.cwd())
    sys.stdout.write(render(table) + "\n")
    sys.exit(exit_code(table))
