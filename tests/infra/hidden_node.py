"""A second node of a Ray cluster that does not see a folder: a file system in memory lies over it there."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from infra.execution.ray_pool import OBJECT_STORE_BYTES

START_SECONDS = 300.0
UNSHARE = ("unshare", "--mount", "--propagation", "private")


def may_hide() -> bool:
    """Whether this process may make name spaces of file systems."""
    if not shutil.which(UNSHARE[0]):
        return False
    return not subprocess.run([*UNSHARE, "true"], check=False, capture_output=True, timeout=60).returncode


@contextmanager
def hidden_node(address: str, hidden: Path, num_cpus: int) -> Iterator[Path]:
    """Join a cluster with a node to which `hidden` is empty; give the folder as that node sees it.

    Skips where this process may not make name spaces of file systems.
    """
    if not may_hide():
        pytest.skip("no right to make a name space of file systems")
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}", f"--num-cpus={num_cpus}"]
    options = [
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        "--node-ip-address=127.0.0.1",
        "--dashboard-agent-listen-port=0",
        "--disable-usage-stats",
        "--block",
    ]
    # again where Ray gives up on a node that has not come up after 30 s of a busy machine
    script = 'mount -t tmpfs tmpfs "$0" && cd / && for attempt in 1 2 3; do "$@" && break; done'
    words = [*UNSHARE, "bash", "-c", script, str(hidden), *ray, *options]
    process = subprocess.Popen(words, start_new_session=True, env=os.environ, stdout=subprocess.DEVNULL)
    try:
        _await_mount(process, hidden)
        yield Path(f"/proc/{process.pid}/root{hidden}")
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.terminate()
        psutil.wait_procs(family, timeout=30)
        for member in [member for member in family if member.is_running()]:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.kill()
        process.wait()


def _await_mount(process: "subprocess.Popen[bytes]", hidden: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while str(hidden) not in Path(f"/proc/{process.pid}/mounts").read_text():
        assert process.poll() is None, "the node ended before it came up"
        assert time.monotonic() < deadline
        time.sleep(0.1)
