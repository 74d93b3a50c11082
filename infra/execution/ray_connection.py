"""The connection of this process to Ray: a private Ray on this machine, or a cluster."""

import logging
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import ray

from infra.execution.ray_pool import OBJECT_STORE_BYTES
from infra.execution.ray_session import SessionFolder

HIDE_CARDS = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
"""A worker that reserves no share of a graphics card sees none."""


class RayConnection:
    """Starts or joins Ray, and undoes what it did."""

    def __init__(self, address: str | None, num_workers: int) -> None:
        """Connect to nothing yet; `address` None: a private Ray with a processor for each of `num_workers` workers."""
        self._address = address
        self._num_workers = num_workers
        self._is_owner = False
        self._session: SessionFolder | None = None

    def open(self) -> None:
        """Start or join Ray, unless this process already has."""
        if ray.is_initialized():
            return
        self._is_owner = True
        on_terminate = signal.getsignal(signal.SIGTERM)
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is None:
            self._start(options)
        else:
            paths = {"env_vars": {"PYTHONPATH": str(Path.cwd()), **HIDE_CARDS}}
            ray.init(self._address, runtime_env=paths, **options)
        signal.signal(signal.SIGTERM, on_terminate)  # Ray takes it over; the stage has its own way to end

    def _start(self, options: dict[str, Any]) -> None:
        # Ray's ports are open to the network and guarded by a token, which it takes from the environment and would
        # otherwise write to the home folder. It remembers the first one for the life of this process.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray would run workers at niceness 15: beside any other work an item then waits until its time limit.
        os.environ.setdefault("RAY_worker_niceness", "0")
        self._session = SessionFolder()
        options |= {"num_cpus": self._num_workers, "object_store_memory": OBJECT_STORE_BYTES}
        # A worker that is killed leaves temporary files, Blender one folder each time.
        options["runtime_env"] = {"env_vars": {"TMPDIR": str(self._session.temporary), **HIDE_CARDS}}
        ray.init("local", include_dashboard=False, _temp_dir=str(self._session.path), **options)

    def close(self) -> None:
        """End the private Ray, or leave the cluster."""
        if self._is_owner:
            ray.shutdown()
            self._is_owner = False
        if self._session is not None:
            self._session.remove()
            self._session = None
