"""Published weights at a hub: which commit of them is meant, and whether the files are that commit's.

A name is `owner/name@COMMIT/subfolder`, or ends in a file of the repository instead. Without `/subfolder` the weights
lie at the top, without `@COMMIT` (or with a branch or tag for it) the newest commit is asked for. huggingface_hub
downloads, waits where the hub asks for a pause, and takes HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE from the
environment.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx  # type: ignore[attr-defined] # its HTTP client, exported at run time

logger = logging.getLogger(__name__)
COMMIT = re.compile(r"[0-9a-f]{40}")
PIPELINE_FILES = ("*.safetensors", "*.json", "*.txt")
"""What is taken of a saved pipeline: no pickled weights, which run code when they are read."""


@dataclass(frozen=True)
class HubWeights:
    """One set of weights at a hub."""

    repository: str
    """owner/name."""
    revision: str | None
    """Commit, branch or tag; None: the main branch."""
    subfolder: str
    """Folder or file inside it; "": the top."""

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a name. Raises ValueError for one that begins like a path, or whose revision is missing."""
        if name.startswith((".", "/", "~")):
            raise ValueError(f"{name} is no folder; name an existing folder, or a hub id such as owner/name/subfolder")
        owner, _, rest = name.partition("/")
        place, _, subfolder = rest.partition("/")
        place, at, revision = place.partition("@")
        if at and not revision:
            raise ValueError(f"{name} ends its repository with @ but names no commit; write owner/name@COMMIT")
        return cls(f"{owner}/{place}" if rest else owner, revision or None, subfolder)

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.repository}{revision}" + (f"/{self.subfolder}" if self.subfolder else "")

    def pinned(self) -> Self:
        """Return the same with the commit that its branch stands at now; offline that of the local cache.

        Raises ValueError when the hub does not have it or it is gated, ConnectionError when the hub does not answer.
        """
        if self.revision and COMMIT.fullmatch(self.revision):
            return self
        commit = _cached_commit(self) if constants.HF_HUB_OFFLINE else _newest_commit(self)
        found = type(self)(self.repository, commit, self.subfolder)
        logger.warning("%s is not pinned: %s is taken and recorded; write that to have it again", self, found)
        return found

    def check_files(self) -> None:
        """Compare the files in the local cache with the hashes that the hub names, after which the cache names them.

        Raises ValueError for a file that has another hash. Where the cache holds copies instead of links, as on disks
        without links, the names are lost and nothing is compared.
        """
        where = f"{self.subfolder}/config.json" if self.subfolder else "config.json"
        found = try_to_load_from_cache(self.repository, where, revision=self.revision)
        if not isinstance(found, str):
            return
        for path in sorted(Path(found).parent.iterdir()):
            blob = path.resolve()
            if path.is_symlink() and blob.is_file() and _hash(blob) not in (None, blob.name):
                remedy = f"delete {blob} and give the command again"
                raise ValueError(f"{path.name} of {self} has another hash than the hub says; {remedy}")


def pinned(name: str | None) -> str | None:
    """Return the name of weights with their commit; None and folders stay as they are."""
    return name if name is None or Path(name).is_dir() else str(HubWeights.parse(name).pinned())


def weights_here(*names: str | None) -> list[Path]:
    """Return those of some names of weights that are files or folders on this machine, not names at a hub."""
    return [Path(name) for name in names if name is not None and Path(name).exists()]


def weights_file(name: str, remedy: str = "name a file, or owner/name@COMMIT/file at a hub") -> Path:
    """Return the file of weights that `name` means, downloaded where it lies at a hub.

    Args:
        name: A path, or `owner/name@COMMIT/file` at a hub, such as timm/vgg16.tv_in1k@COMMIT/model.safetensors.
        remedy: What is said of a name that is neither.

    Raises:
        ValueError: There is no such file, and the name is none of a hub's; or it is gated there.
        ConnectionError: The hub does not answer.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if name.startswith((".", "/", "~")) or not HubWeights.parse(name).subfolder:
        raise ValueError(f"{name} does not exist; {remedy}")
    weights = HubWeights.parse(name)
    with _errors_explained(weights, f"{name} is no file here, and the hub does not give it"):
        return Path(hf_hub_download(weights.repository, weights.subfolder, revision=weights.revision))


def weights_folder(name: str) -> Path:
    """Return the folder of a saved pipeline at a hub, downloaded: its safetensors and JSON files, no code.

    Args:
        name: `owner/name`, `owner/name@COMMIT`, or either with `/folder` inside the repository.

    Raises:
        ValueError: The name is none of a hub's, the hub does not have it, or it is gated there.
        ConnectionError: The hub does not answer.
    """
    weights = HubWeights.parse(name).pinned()
    inside = f"{weights.subfolder}/" if weights.subfolder else ""
    with _errors_explained(weights, f"{name} is no folder here, and the hub does not give it"):
        top = snapshot_download(
            weights.repository,
            revision=weights.revision,
            allow_patterns=[f"{inside}{kind}" for kind in PIPELINE_FILES],
        )
    return Path(top) / weights.subfolder


def _newest_commit(weights: HubWeights) -> str:
    with _errors_explained(weights, f"the hub does not say which commit {weights} is; write @COMMIT"):
        commit = HfApi().model_info(weights.repository, revision=weights.revision).sha
    assert commit is not None
    return commit


@contextmanager
def _errors_explained(weights: HubWeights, silence: str) -> Iterator[None]:
    """Raise ValueError for weights that nobody or not everybody gets, else ConnectionError with `silence`."""
    try:
        yield
    except GatedRepoError as error:
        remedy = "accept its conditions on its page and set HF_TOKEN to that account's token"
        raise ValueError(f"{weights} is gated: {remedy}") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, RemoteEntryNotFoundError) as error:
        remedy = "check the name; if it is private, set HF_TOKEN to the token of an account that may read it"
        raise ValueError(f"the hub has no {weights}; {remedy}") from error
    except (httpx.HTTPError, OSError) as error:
        raise ConnectionError(f"{silence} ({str(error).splitlines()[0]})") from error


def _cached_commit(weights: HubWeights) -> str:
    folder = Path(constants.HF_HUB_CACHE) / f"models--{weights.repository.replace('/', '--')}"
    path = folder / "refs" / (weights.revision or constants.DEFAULT_REVISION)
    if not path.is_file():
        raise ValueError(f"HF_HUB_OFFLINE is set and the cache has no {weights}; unset it once, or write @COMMIT")
    return path.read_text().strip()


def _hash(blob: Path) -> str | None:
    """Return the hash of a file of the kind that its name in the cache is; None for another name."""
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", blob.name):
        return None
    header = f"blob {blob.stat().st_size}\0".encode()  # git's; files in LFS have none
    start = hashlib.sha256 if len(blob.name) == 64 else partial(hashlib.sha1, header, usedforsecurity=False)
    with blob.open("rb") as file:
        return hashlib.file_digest(file, start).hexdigest()
