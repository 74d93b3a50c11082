"""Starts the processes that train one model together, and starts them again when one dies.

They meet through `models.workers.joined`; what they do, and the checkpoints they go on from, is the caller's.
"""

import os
import pickle
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from infra.pools.worker_log import last_lines
from infra.processes import ProcessGroup

MAX_RESTARTS = 2
"""A process that is killed has done nothing wrong; one that fails three times has."""
TICK = 0.2
"""Seconds between looks at the processes."""
Work = Callable[[], None]
"""Must pickle."""


class LocalTrainers:
    """Processes of this machine, which find each other through a file and speak over the loopback interface."""

    def __init__(self, count: int) -> None:
        self.count = count

    def run(self, work: Work, folder: Path, watch: Callable[[], None], count: int) -> None:
        """Run `work` in `count` processes at once, and call `watch` now and then until they have ended.

        `folder` is theirs alone and takes their logs.
        Raises RuntimeError with the last words of a process that ends badly again and again.
        """
        folder.mkdir(parents=True, exist_ok=True)
        job = folder / "work.pickle"
        job.write_bytes(pickle.dumps(work))
        for attempt in range(MAX_RESTARTS + 1):
            broken = self._run_once(job, folder, watch, count)
            if broken is None:
                return
            if attempt == MAX_RESTARTS:
                raise RuntimeError(broken)

    def _run_once(self, job: Path, folder: Path, watch: Callable[[], None], count: int) -> str | None:
        """None when all processes ended well, else how the first one ended that did not."""
        store = folder / f"store-{secrets.token_hex(4)}"
        with ExitStack() as stack:
            stack.callback(store.unlink, missing_ok=True)
            logs = [folder / f"worker-{rank}.log" for rank in range(count)]
            processes = [
                stack.enter_context(
                    ProcessGroup(
                        [sys.executable, "-m", "infra.train_worker", str(job)],
                        root=Path.cwd(),
                        env=_place(rank, count, store),
                        output=stack.enter_context(log.open("w")),
                    )
                )
                for rank, log in enumerate(logs)
            ]
            while True:
                watch()
                codes = [process.exit_code() for process in processes]
                bad = [rank for rank, code in enumerate(codes) if code]
                if bad:
                    # what a signal ended took the others with it
                    rank = min(bad, key=lambda rank: codes[rank] or 0)
                    words = last_lines(logs[rank].read_text(errors="replace")) or "it said nothing"
                    return f"training process {rank} of {count} ended with code {codes[rank]}: {words}"
                if all(code == 0 for code in codes):
                    return None
                time.sleep(TICK)


def _place(rank: int, count: int, store: Path) -> dict[str, str]:
    ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    return ranks | {"MVDPP_STORE": str(store), "GLOO_SOCKET_IFNAME": "lo", "MVDPP_PARENT": str(os.getpid())}


class RayTrainers:
    """Processes of a Ray cluster, by Ray Train; every node must see the project under the same path."""

    def __init__(self, count: int, *, address: str | None, use_gpu: bool) -> None:
        self.count = count
        self._address = address
        self._use_gpu = use_gpu

    def run(self, work: Work, folder: Path, watch: Callable[[], None], count: int) -> None:
        """See LocalTrainers."""
        import ray

        is_owner = not ray.is_initialized()
        if is_owner:
            on_terminate = signal.getsignal(signal.SIGTERM)
            ray.init(self._address, runtime_env={"env_vars": {"PYTHONPATH": str(Path.cwd())}}, log_to_driver=False)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_terminate)  # Ray takes it over; the stage has its own way to end
        try:
            self._fit(work, folder, watch, count)
        finally:
            if is_owner:
                ray.shutdown()

    def _fit(self, work: Work, folder: Path, watch: Callable[[], None], count: int) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        trainer = TorchTrainer(
            _call,
            train_loop_config={"work": pickle.dumps(work), "folder": str(Path.cwd())},
            scaling_config=ScalingConfig(num_workers=count, use_gpu=self._use_gpu),
            run_config=RunConfig(
                name="train", storage_path=str(folder / "ray"), failure_config=FailureConfig(max_failures=MAX_RESTARTS)
            ),
        )
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
            thread.join(TICK)
        if ended[0] is not None:
            raise RuntimeError(f"Ray Train: {ended[0]}") from ended[0]


def _call(config: dict[str, Any]) -> None:
    os.chdir(config["folder"])
    pickle.loads(config["work"])()  # noqa: S301  our own
