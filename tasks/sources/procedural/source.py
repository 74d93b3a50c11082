"""The source of procedural objects: nothing to download, and a score for each."""

from pathlib import Path

from tasks.artifacts.tables import Entry, catalog_table
from tasks.config import CatalogConfig
from tasks.sources.procedural.objects import (
    FAMILIES,
    describe,
    family_of,
    object_indices,
    object_uid,
    score_object,
    write_object,
)
from tasks.sources.source import Listing, choose


class ProceduralSource:
    """Objects of chosen families with an index below `catalog.procedural_indices`.

    A location is `procedural:FAMILY/INDEX`.
    """

    is_permanent = False
    num_connections = 1

    def __init__(self, config: CatalogConfig, seed: int) -> None:
        if config.procedural_indices is None:
            raise ValueError(
                "catalog.procedural_indices is null; source procedural needs the number of indices that it makes "
                "objects of, such as 20"
            )
        self._families = frozenset(config.procedural_families or FAMILIES)
        if unknown := self._families - FAMILIES.keys():
            raise ValueError(
                f"catalog.procedural_families names {', '.join(sorted(unknown))}; "
                f"the families are {', '.join(FAMILIES)}"
            )
        self._config = config
        self._count = config.procedural_indices
        self._seed = seed

    def listing(self) -> Listing:
        """List the objects, each with its score and title."""
        indices = {
            object_uid(index): index for index in object_indices(self._count) if family_of(index) in self._families
        }
        choice = choose(indices, self._config, self._seed)
        entries = [self._entry(uid, indices[uid]) for uid in choice.kept]
        return Listing(catalog_table(entries), turned_away=choice.dropped, unmatched=choice.unmatched)

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
