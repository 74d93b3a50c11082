"""Ranks of a training that begin at once: forked from a process that has imported the models already.

`infra.execution.torchrun` starts each rank as a new interpreter, which imports torch and diffusers for ten seconds of
processor time. Tests of what ranks compute together need nothing of that; those of how ranks are started, restarted and
ended use the real launcher.
"""

import multiprocessing
import multiprocessing.util
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from infra.execution.torchrun import local_environment
from infra.execution.worker_log import capture_output

multiprocessing.util.get_temp_dir()  # now, outside of what pytest removes before multiprocessing removes its own
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tasks.train_diffusion", "tasks.train_vae", "tests.models.toy_models"])


class ForkedRanks:
    """A `tasks.ports.Launcher` without restarts: a rank that fails ends the run, with what it printed."""

    def __init__(self, count: int) -> None:
        self.count = count

    def run(
        self,
        work: Callable[[], None],
        folder: Path,
        watch: Callable[[], None],
        count: int,
        *,
        reads: Sequence[Path] = (),  # noqa: ARG002 - they see everything
        writes: Sequence[Path] = (),  # noqa: ARG002
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        environment = local_environment(count, folder / "ranks")
        logs = [folder / f"rank-{rank}.log" for rank in range(count)]
        ranks = [start(_do, work, _of_rank(rank, count) | environment, logs[rank]) for rank in range(count)]
        try:
            while any(rank.is_alive() for rank in ranks):
                watch()
                time.sleep(0.02)
            watch()
        finally:
            for rank in ranks:
                rank.kill()
                rank.join()
            (folder / "ranks").unlink(missing_ok=True)
        if failed := [number for number, rank in enumerate(ranks) if rank.exitcode]:
            raise RuntimeError(f"ranks {failed} failed: {logs[failed[0]].read_text()}")


def start(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start `work(*arguments)` in a forked process; both must pickle."""
    process = SERVER.Process(target=work, args=arguments)
    process.start()
    return process


def _of_rank(rank: int, count: int) -> dict[str, str]:
    """What torchrun tells a rank."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    return {name: str(number) for name, number in numbers.items()}


def _do(work: Callable[[], None], environment: dict[str, str], log: Path) -> None:
    """Be one rank."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    capture_output(log)
    work()
