"""Starts the ranks that train one model together on a Ray cluster, with Ray Train."""

import logging
import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from infra.execution.node_work import bring as bring_files
from infra.execution.node_work import own_folder
from infra.execution.parcels import below, unpack
from infra.execution.rank_files import RankFiles, StageFiles
from infra.execution.ray_connection import environment_of_nodes
from infra.execution.torchrun import MAX_RESTARTS, POLL_SECONDS
from infra.execution.transport import Transport

COLLECTIVE_SECONDS = 3600
"""How long ranks wait for the slowest one; as models.training.distributed.COLLECTIVE_TIMEOUT."""

SMALL_BYTES = 2**20
"""Files that an earlier attempt has left and that every rank may read; only rank 0 reads checkpoints."""


class RayTrainLauncher:
    """Starts ranks on the nodes of a Ray cluster.

    The nodes see the project under the same path, or a transport brings files to them and back.
    """

    def __init__(
        self, count: int, *, address: str | None, use_gpu: bool, transport: Transport[Any] | None = None
    ) -> None:
        self.count = count
        self._address = address
        self._use_gpu = use_gpu
        self._transport = transport

    def run(
        self,
        work: Callable[[], None],
        folder: Path,
        watch: Callable[[], None],
        count: int,
        *,
        reads: Sequence[Path] = (),
        writes: Sequence[Path] = (),
    ) -> None:
        """Run `work` in `count` ranks at once and return when all have ended.

        Args:
            work: What each rank does; must pickle.
            folder: Takes what Ray Train leaves; every node must see it, unless there is a transport.
            watch: Called several times a second until the ranks have ended; an exception that it raises ends them.
            count: Number of ranks; not more than the launcher's.
            reads: Files and folders that ranks read.
            writes: Folders that rank 0 writes; with a transport what is in them is here a second later, and `folder`,
                which is one of them or lies in one, may take files without content as signals to rank 0.

        Raises:
            RuntimeError: Ranks have failed MAX_RESTARTS + 1 times; says what Ray Train says.
        """
        is_owner = not ray.is_initialized()
        if is_owner:
            on_terminate = signal.getsignal(signal.SIGTERM)
            environment = environment_of_nodes(sends_code=self._transport is not None)
            ray.init(self._address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_terminate)  # Ray takes it over; the stage has its own way to end
        try:
            if self._transport is None:
                config = {"work": pickle.dumps(work), "folder": str(Path.cwd())}
                _await_end(self._trainer(_work_in_project, config, folder, count), watch)
            else:
                self._transport.check()
                parcel = self._transport.pack("training", _call, work, reads=reads, writes=writes)
                trainer = self._trainer(_work_apart, {"parcel": parcel, "signals": str(folder)}, folder, count)
                with StageFiles(parcel, folder).kept_alike():
                    _await_end(trainer, watch)
        finally:
            if is_owner:
                ray.shutdown()

    def _trainer(
        self, work: Callable[[dict[str, Any]], None], config: dict[str, Any], folder: Path, count: int
    ) -> TorchTrainer:
        return TorchTrainer(
            work,
            train_loop_config=config,
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


def _work_apart(config: dict[str, Any]) -> None:
    """Work on a node that does not see the stage's disk; rank 0 sends what it writes."""
    parcel, signals = config["parcel"], Path(config["signals"])
    is_first = ray.train.get_context().get_world_rank() == 0
    tree = own_folder(parcel.place) / "tree"
    bring_files(parcel, tree)
    files = RankFiles(parcel, tree, signals)
    files.restore(largest=float("inf") if is_first else SMALL_BYTES)
    files.remember()
    for folder in (parcel.root, str(signals), *parcel.writes):
        below(tree, folder).mkdir(parents=True, exist_ok=True)
    os.chdir(below(tree, parcel.root))
    do, work = unpack(parcel.content, tree)
    with files.kept_alike() if is_first else nullcontext():
        do(work)


def _call(work: Callable[[], None]) -> None:
    work()


def _work_in_project(config: dict[str, Any]) -> None:
    os.chdir(config["folder"])
    pickle.loads(config["work"])()  # noqa: S301  our own
