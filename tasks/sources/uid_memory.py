"""Remembers which uid an object of a folder was given, so that it keeps it when another of the same name is added."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tasks.artifacts.atomic import read_json, write_json
from tasks.sources.names import name_objects


@dataclass(frozen=True)
class UidMemory:
    """A file of uids by path, for one folder of objects; it may be deleted at any time."""

    file: Path
    folder: str
    """The folder as the configuration names it; what was remembered of another folder is forgotten."""

    def name(self, paths: Collection[str]) -> dict[str, str]:
        """Return a uid for each path, the one of before where it had one, and remember them.

        A path that is gone keeps its uid for the day when it comes back, until another object has it.
        """
        before = self._read()
        uids = name_objects(paths, known=before)
        used = set(uids.values())
        gone = {path: uid for path, uid in before.items() if path not in uids and uid not in used}
        write_json(self.file, {"folder": self.folder, "uids": gone | uids})
        return uids

    def _read(self) -> dict[str, str]:
        if not self.file.exists():
            return {}
        content = read_json(self.file)
        if content["folder"] != self.folder:
            return {}
        uids: dict[str, str] = content["uids"]
        return uids
