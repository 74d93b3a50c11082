"""Starts the processes that train one model together, and starts them again when one dies.

They meet through `models.training.distributed.joined`; what they do, and the checkpoints they go on from, is the
caller's.
"""

import logging
import os
import pickle
import secrets
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.execution.processes import ProcessGroup
from infra.execution.worker_log import last_lines

MAX_RESTARTS = 2
"""A process that is killed has done nothing wrong; one that fails three times has."""
PATIENCE_SECONDS = 3600
"""For the slowest process; as models.training.distributed.COLLECTIVE_TIMEOUT."""
LAUNCHER_LOG = "launcher.log"
TICK = 0.2
"""Seconds between looks at the processes."""
logger = logging.getLogger(__name__)
Work = Callable[[], None]
"""Must pickle."""


class ProcessTrainers(ABC):
    """Processes that `infra.execution.train_process` runs in."""

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
            for words in folder.glob("failed-*.txt"):
                words.unlink()
            with ExitStack() as stack:
                broken = _await_end(list(self.start(job, folder, count, stack)), watch)
            if broken is None:
                return
            if attempt == MAX_RESTARTS:
                raise RuntimeError(broken)
            logger.warning("%s; all are started again (%d of %d)", broken, attempt + 1, MAX_RESTARTS)

    @abstractmethod
    def start(self, job: Path, folder: Path, count: int, stack: ExitStack) -> Iterator["Started"]:
        """The commands that do `job` in `count` processes; `stack` ends them."""


@dataclass(frozen=True)
class Started:
    """A running command."""

    name: str
    process: ProcessGroup
    log: Path

    def last_words(self) -> str:
        """Of a launcher, which says much itself: those of the process that failed first."""
        notes = sorted(self.log.parent.glob("failed-*.txt"), key=lambda path: path.stat().st_mtime_ns)
        source = notes[0] if notes and self.log.name == LAUNCHER_LOG else self.log
        return last_lines(source.read_text(errors="replace")) or "it said nothing"


def _start(
    name: str, command: Sequence[str], job: Path, log: Path, stack: ExitStack, env: Mapping[str, str]
) -> Started:
    tied = [
        sys.executable,
        "-m",
        "infra.execution.die_with_parent",
        str(os.getpid()),
        *command,
        "-m",
        "infra.execution.train_process",
        str(job),
    ]
    output = stack.enter_context(log.open("a"))
    return Started(name, stack.enter_context(ProcessGroup(tied, root=Path.cwd(), env=env, output=output)), log)


def _await_end(started: list[Started], watch: Callable[[], None]) -> str | None:
    """None when all ended well, else how the first one ended that did not."""
    while True:
        watch()
        ended = [(code, one) for one in started if (code := one.process.exit_code()) is not None]
        bad = [(code, one) for code, one in ended if code]
        if bad:
            code, one = min(bad, key=lambda pair: pair[0])  # what a signal ended took the others with it
            return f"{one.name} ended with code {code}: {one.last_words()}"
        if len(ended) == len(started):
            return None
        time.sleep(TICK)


class LocalTrainers(ProcessTrainers):
    """Processes of this machine, which find each other through a file and speak over the loopback interface."""

    def start(self, job: Path, folder: Path, count: int, stack: ExitStack) -> Iterator[Started]:
        """One command for each."""
        store = folder / f"store-{secrets.token_hex(4)}"
        stack.callback(store.unlink, missing_ok=True)
        for rank in range(count):
            env = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
                "LOCAL_WORLD_SIZE": str(count),
                "MVDPP_STORE": str(store),
                "GLOO_SOCKET_IFNAME": "lo",
            }
            name = f"training process {rank} of {count}"
            yield _start(name, [sys.executable], job, folder / f"worker-{rank}.log", stack, env)


class LaunchedTrainers(ProcessTrainers):
    """Processes that another program starts, on this machine or on several that see the project under the same path.

    It must set what torchrun sets: RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT.
    """

    def __init__(self, count: int, launcher: Sequence[str]) -> None:
        """launcher: torchrun and its options, or what ends in such, to which `-m MODULE ARGUMENT` is added."""
        super().__init__(count)
        self._launcher = launcher

    def start(self, job: Path, folder: Path, count: int, stack: ExitStack) -> Iterator[Started]:  # noqa: ARG002  it knows
        """The launcher."""
        env = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(PATIENCE_SECONDS)}  # they finish their step and save
        yield _start(f"`{' '.join(self._launcher)}`", self._launcher, job, folder / LAUNCHER_LOG, stack, env)


class RayTrainers:
    """Processes of a Ray cluster, by Ray Train; every node must see the project under the same path."""

    def __init__(self, count: int, *, address: str | None, use_gpu: bool) -> None:
        self.count = count
        self._address = address
        self._use_gpu = use_gpu

    def run(self, work: Work, folder: Path, watch: Callable[[], None], count: int) -> None:
        """See ProcessTrainers."""
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
        from ray.train.torch import TorchConfig, TorchTrainer

        trainer = TorchTrainer(
            _call,
            train_loop_config={"work": pickle.dumps(work), "folder": str(Path.cwd())},
            torch_config=TorchConfig(timeout_s=PATIENCE_SECONDS),
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
