"""Starts the ranks that train one model together on a Ray cluster, with Ray Train."""

import os
import pickle
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from infra.execution.torchrun import MAX_RESTARTS, POLL_SECONDS

COLLECTIVE_SECONDS = 3600
"""How long ranks wait for the slowest one; as models.training.distributed.COLLECTIVE_TIMEOUT."""


class RayTrainLauncher:
    """Starts ranks on the nodes of a Ray cluster, which must see the project under the same path."""

    def __init__(self, count: int, *, address: str | None, use_gpu: bool) -> None:
        self.count = count
        self._address = address
        self._use_gpu = use_gpu

    def run(self, work: Callable[[], None], folder: Path, watch: Callable[[], None], count: int) -> None:
        """Run `work` in `count` ranks at once and return when all have ended.

        Args:
            work: What each rank does; must pickle.
            folder: Takes what Ray Train leaves; every node must see it.
            watch: Called several times a second until the ranks have ended; an exception that it raises ends them.
            count: Number of ranks; not more than the launcher's.

        Raises:
            RuntimeError: Ranks have failed MAX_RESTARTS + 1 times; says what Ray Train says.
        """
        is_owner = not ray.is_initialized()
        if is_owner:
            on_terminate = signal.getsignal(signal.SIGTERM)
            ray.init(self._address, runtime_env={"env_vars": {"PYTHONPATH": str(Path.cwd())}}, log_to_driver=False)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_terminate)  # Ray takes it over; the stage has its own way to end
        try:
            _await_end(self._trainer(work, folder, count), watch)
        finally:
            if is_owner:
                ray.shutdown()

    def _trainer(self, work: Callable[[], None], folder: Path, count: int) -> TorchTrainer:
        return TorchTrainer(
            _work_in_project,
            train_loop_config={"work": pickle.dumps(work), "folder": str(Path.cwd())},
            torch_config=TorchConfig(timeout_s=COLLECTIVE_SECONDS),
            scaling_config=ScalingConfig(num_workers=count, use_gpu=self._use_gpu),
            run_config=RunConfig(
                name="train", storage_path=str(folder / "ray"), failure_config=FailureConfig(max_failures=MAX_RESTARTS)
            ),
        )


def _await_end(trainer: TorchTrainer, watch: Callable[[], None]) -> None:
    """Run the trainer in a thread, since `fit` returns only at the end, and call `watch` meanwhile."""
    ended: list[BaseException | None] = []

    def fit() -> None:
        try:
            trainer.fit()
            ended.append(None)
        except Exception as error:  # noqa: BLE001  handed over to the thread that waits
            ended.append(error)

    thread = threading.Thread(target=fit, name="ray-train", daemon=True)
    thread.start()
    while thread.is_alive():
        watch()
        thread.join(POLL_SECONDS)
    if ended[0] is not None:
        raise RuntimeError(f"Ray Train: {ended[0]}") from ended[0]


def _work_in_project(config: dict[str, Any]) -> None:
    os.chdir(config["folder"])
    pickle.loads(config["work"])()  # noqa: S301  our own
