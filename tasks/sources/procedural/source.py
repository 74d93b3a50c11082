"""The source of procedural objects: nothing to download, and a score for each."""

from pathlib import Path

from tasks.artifacts.tables import Entry
from tasks.config import CatalogConfig
from tasks.sources.procedural.objects import (
    describe,
    family_of,
    object_indices,
    object_uid,
    score_object,
    write_object,
)
from tasks.sources.source import choose


class ProceduralSource:
    """The objects with an index below `catalog.max_objects`. A location is `procedural:FAMILY/INDEX`."""

    is_permanent = False
    num_connections = 1

    def __init__(self, config: CatalogConfig, seed: int) -> None:
        if config.max_objects is None:
            raise ValueError("catalog.max_objects is null; source procedural needs a number of objects to make")
        self._config = config
        self._count = config.max_objects
        self._seed = seed

    def entries(self) -> list[Entry]:
        """List the objects, sorted by uid, each with its score and title."""
        indices = {object_uid(index): index for index in object_indices(self._count)}
        return [self._entry(uid, indices[uid]) for uid in choose(indices, self._config, self._seed)]

    def _entry(self, uid: str, index: int) -> Entry:
        family = family_of(index)
        return Entry(
            uid,
            f"procedural:{family}/{index}",
            score_object(family, self._seed, index),
            describe(family, self._seed, index),
            "CC0-1.0",
            "procedural",
        )

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:  # noqa: ARG002 - a few kB each
        """Build an object and write it as a GLB file."""
        family, index = entry.location.removeprefix("procedural:").split("/")
        target = folder / f"{entry.uid}.glb"
        write_object(family, self._seed, int(index), target)
        return target
