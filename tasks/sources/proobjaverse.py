"""ProObjaverse-300K: objects of Objaverse 1.0 with some 80 views each that others have rendered.

Its views are read from a copy on disk, `catalog.folder`, as `hf download Stable-X/ProObjaverse-300K` makes it
(renders_random_env/shard-NNNN/UID.tar); the objects themselves come from Objaverse's hub.
"""

import errno
import shutil
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from tasks.artifacts.atomic import atomic_folder
from tasks.artifacts.manifest import fingerprint
from tasks.artifacts.tables import Entry, catalog_table, check_uid
from tasks.config import CatalogConfig
from tasks.given_views.archive import GIVEN
from tasks.outcome import Rejected
from tasks.ports import Tools
from tasks.sources.objaverse import ObjaverseSource
from tasks.sources.source import Listing, choose

RENDERS = "renders_random_env"


class ProObjaverseSource:
    """The objects whose views lie below `catalog.folder`. A location is that of the views, a colon, and the hub's."""

    is_permanent = True
    num_connections = 16

    def __init__(self, config: CatalogConfig, seed: int, tools: Tools) -> None:
        self._config = config
        self._seed = seed
        self._root = Path(config.folder).expanduser()
        self._objaverse = ObjaverseSource(config, seed, tools)

    def listing(self) -> Listing:
        """List the objects that have views here and a file at the hub; the others are turned away with the reason.

        Raises ValueError when the folder holds no views, ConnectionError when the hub cannot be reached.
        """
        archives = sorted((self._root / RENDERS).glob("*/*.tar"))
        if not archives:
            raise ValueError(
                f"{self._root} holds no {RENDERS}/*/UID.tar: give catalog.folder a copy of Stable-X/ProObjaverse-300K"
            )
        places: dict[str, str] = {}
        turned_away: dict[str, Rejected] = {}
        for archive in archives:
            place = archive.relative_to(self._root).as_posix()
            if reason := self._defect(archive, places):
                name = f"views-{fingerprint(place)[:16]}"
                turned_away[name] = Rejected(name, f"{place}: {reason}")
            else:
                places[archive.stem] = f"{place}:{self._paths[archive.stem]}"
        choice = choose(places, self._config, self._seed)
        return Listing(
            catalog_table([Entry(uid, places[uid], None, "", "", "proobjaverse") for uid in choice.kept]),
            turned_away=list(turned_away.values()),
            others=[row.uid for row in choice.dropped],
            unmatched=choice.unmatched,
        )

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:
        """Download an object's GLB file and put its views beside it.

        Raises FileNotFoundError when the views are gone, OSError(EFBIG) when both are larger than `max_bytes`.
        """
        place, _, location = entry.location.partition(":")
        archive = self._root / place
        size = archive.stat().st_size
        if max_bytes is not None and size > max_bytes:
            raise OSError(errno.EFBIG, f"{size} bytes of views, the limit is {max_bytes}")
        left = None if max_bytes is None else max_bytes - size
        with atomic_folder(folder / entry.uid) as part:
            main = self._objaverse.fetch(replace(entry, location=location), part, max_bytes=left)
            shutil.copyfile(archive, part / GIVEN)
        return folder / entry.uid / main.name

    def _defect(self, archive: Path, places: dict[str, str]) -> str | None:
        try:
            check_uid(archive.stem)
        except ValueError as error:
            return str(error)
        if archive.stem in places:
            return f"the object's views lie also in {places[archive.stem].split(':')[0]}, which is used"
        if archive.stem not in self._paths:
            return "no object of Objaverse 1.0 has this uid"
        return None if archive.stat().st_size else "the archive is empty"

    @cached_property
    def _paths(self) -> dict[str, str]:
        return self._objaverse.paths()
