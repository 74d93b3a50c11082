"""Starts the ranks that train one model together with torchrun, and starts them again when one dies.

They meet through `models.training.distributed.init_distributed`; what they do, and the checkpoints they go on from, is
the caller's.
"""

import logging
import os
import pickle
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from infra.execution.processes import ProcessGroup
from infra.execution.train_process import rank_log
from infra.execution.worker_log import last_lines
from infra.machine import available_cpus

MAX_RESTARTS = 2
"""A process that is killed has done nothing wrong; one that fails three times has."""
SHUTDOWN_SECONDS = 300
"""How long torchrun lets the other ranks finish their step and save when one has died or the stage is gone; those that
wait for the dead one in a collective call would otherwise do so for COLLECTIVE_TIMEOUT."""
POLL_SECONDS = 0.2
FAILED_RANK = re.compile(r"time +: (\S+)\n.*\n +rank +: (\d+) .*\n +exitcode +: (-?\d+)")
"""A rank in the report that torchrun prints of a failure: when its end was seen, to the second, and its exit code."""
SEEN = "%Y-%m-%d_%H:%M:%S"
"""How torchrun writes when it saw that."""
logger = logging.getLogger(__name__)


class TorchrunLauncher:
    """Starts ranks with torchrun, on this machine or on several that see the project under the same path.

    Restarts are counted here instead of by torchrun's --max-restarts, so that the user reads about each one, and a
    torchrun that is killed itself is started again as well.
    """

    def __init__(self, count: int, command: Sequence[str] = ()) -> None:
        """Say how the ranks are started.

        Args:
            count: Number of ranks.
            command: Torchrun and its options, or what ends in such, to which `-m MODULE ARGUMENTS` is added. It must
                set what torchrun sets: RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT.
                Empty: torchrun on this machine.
        """
        self.count = count
        self._command = command

    def run(
        self,
        work: Callable[[], None],
        folder: Path,
        watch: Callable[[], None],
        count: int,
        *,
        reads: Sequence[Path] = (),  # noqa: ARG002 - all ranks see the folder
        writes: Sequence[Path] = (),  # noqa: ARG002
    ) -> None:
        """Run `work` in `count` ranks at once and return when all have ended.

        Args:
            work: What each rank does; must pickle.
            folder: Takes the pickled work and the logs (`attempt-N/rank-R.log`); for this run alone.
            watch: Called several times a second until the ranks have ended; an exception that it raises ends them.
            count: Number of ranks; not more than the launcher's.
            reads: Not needed: the ranks see everything.
            writes: Not needed.

        Raises:
            RuntimeError: Ranks have failed MAX_RESTARTS + 1 times. The message ends with the log of the first to fail.
        """
        folder.mkdir(parents=True, exist_ok=True)
        job = folder / "work.pickle"
        job.write_bytes(pickle.dumps(work))
        for attempt in range(MAX_RESTARTS + 1):
            logs = folder / f"attempt-{attempt}"
            logs.mkdir(exist_ok=True)
            code = self._run_once(job, logs, watch, count)
            if code == 0:
                return
            failure = (
                _first_failure(logs, count) or f"{self._name} ended with code {code}: {_tail(_torchrun_log(logs))}"
            )
            if attempt == MAX_RESTARTS:
                raise RuntimeError(failure)
            logger.warning("%s; all are started again (%d of %d)", failure, attempt + 1, MAX_RESTARTS)

    @property
    def _name(self) -> str:
        return f"`{' '.join(self._command) or 'torchrun'}`"

    def _run_once(self, job: Path, logs: Path, watch: Callable[[], None], count: int) -> int:
        """Start torchrun and wait for it; return its exit code. No process is left, however this ends."""
        rendezvous = logs / "rendezvous"
        rendezvous.mkdir(exist_ok=True)
        env = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SHUTDOWN_SECONDS)}
        if not self._command:
            env |= local_environment(count, rendezvous / "ranks")
        torchrun = self._command or local_torchrun(count, rendezvous / "torchrun")
        words = [*torchrun, "-m", "infra.execution.train_process", str(job), str(logs)]
        try:
            with (
                _torchrun_log(logs).open("w") as output,
                ProcessGroup(words, root=Path.cwd(), env=env, output=output) as group,
            ):
                while (code := group.exit_code()) is None:
                    watch()
                    time.sleep(POLL_SECONDS)
                watch()
                return code
        finally:
            shutil.rmtree(rendezvous, ignore_errors=True)


def local_torchrun(count: int, meeting_point: Path) -> list[str]:
    """The command that starts `count` ranks of this machine.

    It is torchrun's --standalone but for the file in which it keeps its state: what it keeps there it unpickles, and
    --standalone's port is open to the network.
    """
    file = ["--rdzv-backend=c10d", "--rdzv-conf=store_type=file", f"--rdzv-endpoint={meeting_point}"]
    return [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}", "--local-addr=localhost", *file]


def local_environment(count: int, meeting_point: Path) -> dict[str, str]:
    """What the ranks of this machine are told: they meet in a file and speak over the loopback interface.

    torchrun would set OMP_NUM_THREADS to 1 where it is not set, and says so at length.
    """
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, available_cpus() // count)))
    return {
        "MVDPP_STORE": str(meeting_point),
        "GLOO_SOCKET_IFNAME": "lo",
        # torchrun would keep a store of keys and values for them, which whoever reaches this machine may write to
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        "OMP_NUM_THREADS": threads,
    }


def _first_failure(logs: Path, count: int) -> str | None:
    """Say which rank failed first, with what code, and what it printed last; None where torchrun does not report it.

    The report ends with the one that torchrun saw first. It tells whole seconds, so a killed rank goes before those
    that it took along at the same time, and before those that torchrun looked at just before the second was over.
    """
    report = _torchrun_log(logs).read_text(errors="replace")
    failed = [(datetime.strptime(seen, SEEN), int(rank), int(code)) for seen, rank, code in FAILED_RANK.findall(report)]
    if not failed:
        return None
    until = min(seen for seen, _, _ in failed) + timedelta(seconds=1)
    at_once = [one for one in reversed(failed) if one[0] <= until]
    _, rank, code = min(at_once, key=lambda one: (one[2] != -signal.SIGKILL, one[0]))
    return f"training process {rank} of {count} ended with code {code}: {_tail(rank_log(logs, rank))}"


def _torchrun_log(logs: Path) -> Path:
    return logs / "torchrun.log"


def _tail(log: Path) -> str:
    text = last_lines(log.read_text(errors="replace")) if log.exists() else ""
    return text or "it said nothing"
