"""Finished items that are a file each, named after their key, as `ItemStore` keeps those that become shards."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KeyedFiles:
    """The finished items in a folder."""

    folder: Path
    suffix: str
    """Of the files, with its dot."""

    def path(self, key: str) -> Path:
        """Return the path that a worker writes the item of `key` to."""
        return self.folder / f"{key}{self.suffix}"

    def has(self, uid: str, key: str) -> bool:  # noqa: ARG002 the key says it all
        """Whether the item need not be made again."""
        return self.path(key).exists()

    def keep(self, keys: Collection[str]) -> None:
        """Remove what belongs to other keys: items of inputs that have changed, and files beside them."""
        for path in self.folder.glob(f"*{self.suffix}"):
            if path.stem not in keys:
                for file in self.folder.glob(f"{path.stem}.*"):
                    file.unlink()
