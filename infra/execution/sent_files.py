"""Remembers which files are in a blob store."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from infra.storage.blob_store import Blob, BlobStore, stamp


@dataclass
class SentFiles:
    """Remembers which files are in the store, so that a model that all jobs read is hashed and put once."""

    store: BlobStore
    _known: dict[tuple[Path, tuple[int, int, int]], "Future[Blob]"] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def put(self, path: Path) -> Blob:
        """Put a file, unless it was before and has the same size, time and number. Raises what BlobStore.put raises."""
        key = (path, stamp(path))
        with self._lock:
            known = self._known.get(key)
            future = known or self._known.setdefault(key, Future())
        if known is None:
            try:
                future.set_result(self.store.put(path))
            except Exception as error:  # noqa: BLE001  for whoever waits for the same file
                with self._lock:
                    del self._known[key]
                future.set_exception(error)
        return future.result()
