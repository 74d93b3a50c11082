"""Protocols of what a stage uses but does not make; infra/ has the classes, flows/wiring.py joins them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from models.config import AttentionKernel, Precision
from render.device import Device, Machine
from tasks.outcome import Outcome

NETWORK_THREADS = 1
"""CPU threads of torch in a worker that encodes or samples. With two of them sums are taken in another order and the
results have other bytes, so threads that follow the number of workers would let that number decide the result."""


class Job(Protocol):
    """One item of work, such as an object to render; it must pickle."""

    @property
    def uid(self) -> str:
        """The item's name."""
        ...

    @property
    def reads(self) -> Sequence[Path]:
        """Files and whole folders that the work reads; nodes without a shared disk have no other."""
        ...

    @property
    def writes(self) -> Sequence[Path]:
        """Files and folders that the work may leave, in the order in which others may see them."""
        ...


JobT = TypeVar("JobT", bound=Job, contravariant=True)


class Pool(Protocol):
    """Runs a function over many items on this machine or a cluster."""

    num_workers: int

    def run(self, work: Callable[[Any], Outcome], jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Yield one outcome per job as it ends, in any order.

        An exception in `work` becomes Failed. A job over the pool's time limit is killed and one whose
        process dies is tried once more; after that it is Failed with the last lines of its log.
        """
        ...


class Progress(Protocol):
    """Shows how far a stage is: a live bar on a terminal, plain lines elsewhere."""

    def items(self, label: str, total: int) -> AbstractContextManager[Callable[[Outcome], None]]:
        """Count outcomes: done/failed/rejected, rate, time left."""
        ...

    def transfers(self, label: str, total: int) -> AbstractContextManager[Callable[[str, int, int | None], None]]:
        """Follow downloads: counts, bytes a second, time left.

        Call with (what became of one in a word, its bytes, bytes still to come or None where nobody knows).
        """
        ...

    def steps(self, label: str, total: int) -> AbstractContextManager[Callable[[int, Mapping[str, float]], None]]:
        """Follow a loop: call with (steps done so far, latest metrics)."""
        ...

    def note(self, text: str) -> None:
        """Show one line to the user."""
        ...


class Tracker(Protocol):
    """Remembers a run: parameters are logged by the stage runner, the rest by the stage."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log numbers at a step."""
        ...

    def image(self, path: Path, name: str) -> None:
        """Log an image file, which the UI shows under `name`."""
        ...

    def artifact(self, path: Path, folder: str = "") -> None:
        """Log a file or folder."""
        ...

    def dataset(self, path: Path, name: str, digest: str, context: str) -> None:
        """Log which sealed folder a stage reads; `digest` is its fingerprint, `context` e.g. "training"."""
        ...

    def model(self, path: Path, name: str, leave_out: Sequence[str] = ()) -> None:
        """Log a saved model folder, without the files and folders that are called as in `leave_out`."""
        ...

    def table(self, rows: Sequence[Mapping[str, object]], name: str) -> None:
        """Log a table, which the UI shows and compares between runs; a value that a row lacks stays empty."""
        ...

    def part(self, name: str, tags: Mapping[str, str]) -> AbstractContextManager["Tracker"]:
        """Open a run below this one, for one of several things that are compared."""
        ...


class Store(Protocol):
    """Reads remote files: http(s)://, s3://, file:// or a plain path."""

    def fetch(self, url: str, target: Path, *, max_bytes: int | None = None) -> None:
        """Download `url` to `target`, whole or not at all, with retries and resume.

        Raises FileNotFoundError when the server says it is not there, ConnectionError when it cannot be reached
        or the line keeps breaking, ConnectionError(EBUSY) when it stays busy, PermissionError when it does not allow
        it, OSError(EFBIG) above `max_bytes`, OSError(ENOSPC) when the disk is full, OSError for the rest.
        """
        ...


class FileCache(Protocol):
    """Keeps copies of data sets' files on each node's own disk."""

    def copies(self, folder: Path, names: Sequence[str], key: str) -> Callable[[str], Path]:
        """Return what gives the copy of a file by its name, made at the first call on a node; it pickles.

        Args:
            folder: Of the data set.
            names: The files in it that will be asked for.
            key: Hash of the data set's content.

        Raises OSError when files cannot be sent; what is returned raises it when a copy cannot be made.
        """
        ...


@dataclass(frozen=True)
class ComputeOptions:
    """How a training computes: its speed and its memory, not its result."""

    micro_batch: int | None = None
    """Images or objects that fit into the device's memory at once; None: a whole batch does."""
    vae_micro_batch: int | None = None
    """Images that fit at once in the training of the VAE; None: `micro_batch`."""
    recompute_levels: tuple[int, ...] = ()
    """Levels of the UNet, the finest being 0, that compute their activations again instead of keeping them; any: the
    whole VAE."""
    attention_kernel: AttentionKernel = "auto"
    """What computes the UNet's attention, also where views are sampled outside of trainings."""
    recompute_feed_forward: bool = False
    """Whether the UNet's feed-forward layers compute theirs again."""
    rounded_norms: bool = False
    """Whether norms give and keep 16 bits under autocast."""
    compile: bool = False
    """Whether the UNet is compiled."""
    shard_weights: bool = False
    """Whether each of several ranks keeps only its part of the UNet's weights, average and optimizer."""


class Launcher(Protocol):
    """Starts the ranks that train one model together."""

    count: int

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
        """Run `work` in `count` ranks at once and return when all have ended; start them again when one dies.

        Args:
            work: What each rank does; must pickle.
            folder: Takes what the ranks leave; for this run alone.
            watch: Called several times a second until the ranks have ended; an exception that it raises ends them.
            count: Number of ranks; not more than the launcher's.
            reads: Files and folders that ranks read.
            writes: Folders that rank 0 writes, with all that is to be found in them here.

        Raises:
            RuntimeError: Ranks die again and again.
        """
        ...


@dataclass(frozen=True)
class Tools:
    """Everything a stage may use that does not change its result."""

    pool: Pool
    progress: Progress
    tracker: Tracker
    store: Store
    work: Path
    """Folder of this stage for unfinished work; survives a crash and is divided by work keys."""
    threads: int
    """CPU threads this process may use."""
    device: str
    """torch device, e.g. "cpu" or "cuda"."""
    worker_device: str
    """torch device of the pool's workers, which may have no GPU."""
    render_device: Device
    """What Blender computes on."""
    hub_url: str
    """Where Objaverse lies."""
    memory_gib: float = float("inf")
    """Free on this machine; a GPU is asked itself."""
    disk_reserve: int = 0
    """Bytes of the disk that downloads leave free."""
    precision: Precision = "fp32"
    """How networks compute that draw or encode outside of trainings, on `device`, which is also the workers' in the
    stages that do so over the pool."""
    compute: ComputeOptions = ComputeOptions()
    """How trainings compute."""
    launcher: Launcher | None = None
    """Starts the ranks of trainings; None: this process trains alone."""
    latent_cache: FileCache | None = None
    """Where trainings read latents from; None: where they lie."""
    input_hashes: Mapping[str, str] = field(default_factory=dict)
    """Hashes of the content of the stage's inputs that are known already, such as DVC's, by path; the others are
    computed from the files where they are needed (tasks.artifacts.content)."""

    @property
    def worker_threads(self) -> int:
        """CPU threads that each of the pool's workers may use."""
        return max(1, self.threads // self.pool.num_workers)

    @property
    def worker_machine(self) -> Machine:
        """What each of the pool's workers may use to render."""
        return Machine(self.worker_threads, self.render_device)


def collect(
    pool: Pool, progress: Progress, label: str, work: Callable[[Any], Outcome], jobs: Iterable[Job]
) -> list[Outcome]:
    """Run all jobs with a progress bar; return their outcomes sorted by uid."""
    todo = list(jobs)
    outcomes = []
    with progress.items(label, len(todo)) as show:
        for outcome in pool.run(work, todo):
            show(outcome)
            outcomes.append(outcome)
    return sorted(outcomes, key=lambda outcome: outcome.uid)
