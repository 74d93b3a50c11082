"""The connection of this process to Ray: a private Ray on this machine, or a cluster."""

import logging
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants

from infra.execution.process_folder import ProcessFolder
from infra.execution.processes import kill_marked
from infra.execution.ray_pool import OBJECT_STORE_BYTES

START_ATTEMPTS = 2
"""How often a private Ray is started that runs out of time: beside much other work its own 30 seconds are too few, for
which it has no setting, and a second start finds in memory what the first had to read."""
MARK = "MVDPP_RAY"
"""Variable by which the processes of a private Ray are known: the folder of its session. Those of a raylet that ends by
itself are no children of this process any more."""
TIMED_OUT = "timed out"
"""What Ray's exceptions of that kind, which have no type of their own, say."""

HIDE_CARDS = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
"""A worker that reserves no share of a graphics card sees none."""

CODE = Path(__file__).parents[2]
"""Folder of the packages."""
PACKAGES = ("flows", "infra", "models", "render", "tasks")
logger = logging.getLogger(__name__)


def environment_of_nodes(*, sends_code: bool) -> dict[str, Any]:
    """Return the environment of processes on a cluster: the code from this folder, which they see, or sent by Ray."""
    if sends_code:
        code = {"py_modules": [str(CODE / name) for name in PACKAGES], "excludes": ["**/__pycache__"]}
        return {"env_vars": HIDE_CARDS, **code}
    return {"env_vars": {"PYTHONPATH": str(Path.cwd()), **HIDE_CARDS}}


@contextmanager
def loopback_only() -> Iterator[None]:
    """Let a Ray that is started meanwhile listen on the loopback address alone.

    Ray does so where clusters are not supported (macOS, Windows: issue 18730 of ray-project/ray), and has no public
    setting for it elsewhere: an address that is handed to `ray.init` is replaced by the machine's own.
    """
    was_enabled, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was_enabled


class RayConnection:
    """Starts or joins Ray, and undoes what it did."""

    def __init__(self, address: str | None, num_workers: int, *, sends_code: bool = False) -> None:
        """Connect to nothing yet.

        Args:
            address: The cluster; None: a private Ray with a processor for each worker.
            num_workers: Number of worker processes.
            sends_code: Whether nodes get this project's code through Ray, since they do not see its folder.
        """
        self._address = address
        self._num_workers = num_workers
        self._sends_code = sends_code
        self._is_owner = False
        self._session: ProcessFolder | None = None

    def open(self) -> None:
        """Start or join Ray, unless this process already has.

        Raises:
            RuntimeError: A private Ray does not start; none of its processes is left.
            ConnectionError: No cluster answers.
        """
        if ray.is_initialized():
            return
        self._is_owner = True
        on_terminate = signal.getsignal(signal.SIGTERM)
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self._address is None:
                self._start(options)
            else:
                ray.init(self._address, runtime_env=environment_of_nodes(sends_code=self._sends_code), **options)
        finally:
            signal.signal(signal.SIGTERM, on_terminate)  # Ray takes it over; the stage has its own way to end

    def _start(self, options: dict[str, Any]) -> None:
        # Other users of this machine reach Ray's ports too. They are guarded by a token, which Ray takes from the
        # environment and would otherwise write to the home folder. It remembers the first one for the life of this
        # process.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray would run workers at niceness 15: beside any other work an item then waits until its time limit.
        os.environ.setdefault("RAY_worker_niceness", "0")
        for left in reversed(range(START_ATTEMPTS)):
            try:
                self._start_once(options)
            except Exception as error:
                reason = str(error).strip().partition("\n")[0].rstrip(".")
                if not left or TIMED_OUT not in reason.lower():
                    raise RuntimeError(
                        f"Ray did not start on this machine: {reason}; wait until it is less busy, then give the same "
                        "command again"
                    ) from error
                logger.warning("Ray did not start on this machine: %s; it is tried once more", reason)
            else:
                return

    def _start_once(self, options: dict[str, Any]) -> None:
        """Start a Ray of this process's own; where that fails, or is broken off, nothing of it is left."""
        self._session = ProcessFolder()
        os.environ[MARK] = str(self._session.path)
        # A worker that is killed leaves temporary files, Blender one folder each time.
        environment = {"env_vars": {"TMPDIR": str(self._session.temporary), **HIDE_CARDS}}
        try:
            with loopback_only():
                ray.init(
                    "local",
                    include_dashboard=False,
                    num_cpus=self._num_workers,
                    object_store_memory=OBJECT_STORE_BYTES,
                    runtime_env=environment,
                    _temp_dir=str(self._session.path),
                    **options,
                )
        except BaseException:
            ray.shutdown(wait_for_processes=True)
            kill_marked(MARK, str(self._session.path))  # which Ray itself forgets of a node that has not come up
            self._session.remove()
            self._session = None
            raise
        finally:
            del os.environ[MARK]

    def close(self) -> None:
        """End the private Ray, or leave the cluster."""
        if self._is_owner:
            ray.shutdown(wait_for_processes=True)
            self._is_owner = False
        if self._session is not None:
            kill_marked(MARK, str(self._session.path))  # what a raylet that ended by itself has left
            self._session.remove()
            self._session = None
