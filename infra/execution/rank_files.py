"""Keeps a folder that rank 0 of a training writes on a node, and the stage's own, alike while both are at work.

The rank sends each file when it is new or has changed, then a list of all; the stage brings what the list names. Files
that appear in the stage's folder without content, such as the wish to stop, are made on the node too.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.execution.parcels import Parcel, below, files_of
from infra.storage.blob_store import Blob, BlobStore, stamp

LISTING, SIGNALS = "listing.json", "signals.json"
POLL_SECONDS = 1.0
GROWING = ".jsonl"
"""Suffix of files that only grow, and that somebody may be reading."""
logger = logging.getLogger(__name__)


def order_of(path: str) -> int:
    """Sort what a rank leaves: results before the reports of them, and before both what says that it has ended.

    Files are brought in this order and looked at in the opposite one, so that no report is seen before its file.
    """
    return {GROWING: 1, ".json": 2}.get(Path(path).suffix, 0)


@dataclass
class RankFiles:
    """The files that rank 0 leaves, as its node sees them."""

    parcel: Parcel
    tree: Path
    signals: Path
    """Folder of the stage in which files without content are signals."""
    _sent: dict[str, tuple[tuple[int, int, int], Blob]] = field(default_factory=dict, init=False)
    _listed: bytes = b""

    def restore(self, largest: float = float("inf")) -> None:
        """Bring what an earlier attempt has sent, but for files of more than `largest` bytes."""
        for path, blob in listing(self.parcel):
            target = below(self.tree, path)
            if blob.size <= largest:
                self.parcel.place.store.get(blob, target)
                self._sent[path] = (stamp(target), blob)

    def remember(self) -> None:
        """Note the files that came with the parcel, which need not be sent."""
        for path, blob in self.parcel.reads.items():
            with suppress(FileNotFoundError):
                self._sent.setdefault(path, (stamp(below(self.tree, path)), blob))

    @contextmanager
    def kept_alike(self) -> Iterator[None]:
        """Send what changes as long as the context lasts, and everything at its end."""
        try:
            with repeated(self._exchange, "files of the training are not sent"):
                yield
        finally:
            self.send()

    def _exchange(self) -> None:
        self.send()
        self._make_signals()

    def send(self) -> None:
        """Send the files that are new or have changed, then the list of all; remove those that are on it no longer."""
        store = self.parcel.place.store
        before = {blob.key: blob for _, blob in self._sent.values() if blob.folder == self.parcel.results}
        found = {f"/{path.relative_to(self.tree)}": path for path in self._visible()}
        for path in sorted(found, key=order_of, reverse=True):
            with suppress(FileNotFoundError):  # a checkpoint that a newer one has replaced meanwhile
                mark = stamp(found[path])
                if self._sent.get(path, (None,))[0] != mark:
                    self._sent[path] = (mark, self._put(found[path]))
        self._sent = {path: sent for path, sent in self._sent.items() if path in found}
        rows = [[path, *row_of(self._sent[path][1])] for path in sorted(self._sent, key=order_of)]
        text = json.dumps(rows).encode()
        if text != self._listed:
            store.write(f"{self.parcel.results}/{LISTING}", text)
            self._listed = text
        for key in before.keys() - {blob.key for _, blob in self._sent.values()}:
            store.delete(before[key])

    def _visible(self) -> Iterable[Path]:
        roots = [below(self.tree, path) for path in self.parcel.writes]
        files = (path for root in roots for path in files_of(root) if not path.name.startswith("."))
        return [path for path in files if path.is_file()]

    def _put(self, path: Path) -> Blob:
        """Put a file; of one that grows, what it has now."""
        if path.suffix != GROWING:
            return self.parcel.place.store.put(path, self.parcel.results)
        still = path.with_name(f".{path.name}.now")
        still.write_bytes(path.read_bytes())
        return self.parcel.place.store.put(still, self.parcel.results)

    def _make_signals(self) -> None:
        content = self.parcel.place.store.read(f"{self.parcel.results}/{SIGNALS}")
        for name in json.loads(content) if content else []:
            (below(self.tree, str(self.signals)) / name).touch()


@dataclass
class StageFiles:
    """The same files as the stage sees them."""

    parcel: Parcel
    signals: Path
    _here: dict[str, str] = field(default_factory=dict, init=False)
    """Hash of each file that was brought, by path."""
    _told: bytes = b""

    def __post_init__(self) -> None:
        roots = tuple(f"{path}/" for path in self.parcel.writes)
        self._here = {path: blob.sha256 for path, blob in self.parcel.reads.items() if path.startswith(roots)}

    @contextmanager
    def kept_alike(self) -> Iterator[None]:
        """Bring what the rank sends as long as the context lasts, and everything at its end."""
        try:
            with repeated(self.exchange, "files of the training are not brought"):
                yield
        finally:
            self.exchange()
            self.discard()

    def exchange(self) -> None:
        """Bring what is new on the list, remove what is no longer on it, and send signals."""
        store = self.parcel.place.store
        names = json.dumps(sorted(path.name for path in self.signals.glob("*") if is_signal(path))).encode()
        if names not in (self._told, b"[]"):
            store.write(f"{self.parcel.results}/{SIGNALS}", names)
            self._told = names
        rows = listing(self.parcel)
        for path, blob in rows:
            if self._here.get(path) != blob.sha256:
                bring(store, blob, Path(path))
                self._here[path] = blob.sha256
        if rows:
            for path in self._here.keys() - {path for path, _ in rows}:
                Path(path).unlink(missing_ok=True)
                del self._here[path]

    def discard(self) -> None:
        """Remove from the store what the ranks have sent, which is here."""
        store, results = self.parcel.place.store, self.parcel.results
        for blob in {blob.key: blob for _, blob in listing(self.parcel) if blob.folder == results}.values():
            store.delete(blob)
        for name in (LISTING, SIGNALS):
            store.remove(f"{results}/{name}")


@contextmanager
def repeated(step: Callable[[], None], complaint: str) -> Iterator[None]:
    """Do `step` in a thread every POLL_SECONDS as long as the context lasts.

    What an OSError keeps it from is tried again by the next step, and said at once in the words of `complaint`.
    """
    has_ended = threading.Event()

    def work() -> None:
        while not has_ended.wait(POLL_SECONDS):
            try:
                step()
            except OSError as error:
                logger.warning("%s: %s", complaint, error)

    thread = threading.Thread(target=work, name="kept-alike", daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()


def is_signal(path: Path) -> bool:
    """Whether a file of the stage's is a signal: it has no name of a kind, and no content."""
    return path.is_file() and not path.suffix and path.stat().st_size == 0


def bring(store: BlobStore, blob: Blob, path: Path) -> None:
    """Bring a file; what one that grows has already is left alone, for somebody reads it."""
    if path.suffix != GROWING or not path.exists():
        store.get(blob, path)
        return
    whole = path.with_name(f".{path.name}.whole")
    store.get(blob, whole)
    with path.open("ab") as handle:
        handle.write(whole.read_bytes()[path.stat().st_size :])
    whole.unlink()


def listing(parcel: Parcel) -> list[tuple[str, Blob]]:
    """Return what rank 0 has sent, in the order in which it is to be brought."""
    content = parcel.place.store.read(f"{parcel.results}/{LISTING}")
    rows = json.loads(content) if content else []
    return [(path, Blob(sha256, size, folder)) for path, sha256, size, folder in rows]


def row_of(blob: Blob) -> tuple[str, int, str]:
    """Return a blob as a list has it."""
    return blob.sha256, blob.size, blob.folder
