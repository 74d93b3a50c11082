"""Ways to download many objects that the benchmark compares. Each runs in a process of its own."""

import contextlib
import io
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import objaverse
import requests

from infra.storage.store import RemoteStore
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.tables import OBJECTS, SelectedEntry, write_selected
from tasks.config import DownloadConfig
from tasks.download import download_objects
from tests.tasks.hub import catalog_config, hub_path
from tests.tasks.test_select import select_config
from tests.tasks.toolbox import make_tools

CONNECTIONS = 16
Method = Callable[[str, list[str], Path], None]
"""Downloads objects: called with the hub's address, their uids and an empty folder."""


def ours(url: str, uids: list[str], folder: Path) -> None:
    """The stage `download`: journal, hashes, validation, ledger and all."""
    selected = folder / "selected"
    rows = [SelectedEntry(uid, hub_path(uid), None, uid, "by", "objaverse", "train") for uid in uids]
    write_selected(selected / OBJECTS, rows)
    seal(selected, Kind.SELECTED, config=select_config(), inputs={})
    tools = make_tools(folder, hub_url=url, store=RemoteStore(connections=CONNECTIONS))
    config = DownloadConfig(max_mb=200, max_failed_share=0)
    download_objects(selected, catalog_config(), config, 0, folder / "objects", tools)


def objaverse_package(url: str, uids: list[str], folder: Path) -> None:
    """objaverse.load_objects 0.1.7 as it is, but for the address: 16 processes that count all files for each one."""
    objaverse._VERSIONED_PATH = str(folder)
    retrieve = urllib.request.urlretrieve

    def from_here(address: str, *args: Any) -> Any:
        return retrieve(f"{url}/{address.split('/resolve/main/')[1]}", *args)

    with contextlib.redirect_stdout(io.StringIO()):
        urllib.request.urlretrieve = from_here  # type: ignore[assignment]  # its processes are forked
        objaverse.load_objects(uids, download_processes=CONNECTIONS)


def requests_pool(url: str, uids: list[str], folder: Path) -> None:
    """Threads with a session each: no retry, no check, nothing remembered, but whole by rename."""
    local = threading.local()

    def fetch(uid: str) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        target = folder / hub_path(uid)
        target.parent.mkdir(parents=True, exist_ok=True)
        answer = local.session.get(f"{url}/{hub_path(uid)}", timeout=60)
        answer.raise_for_status()
        part = target.with_suffix(".part")
        part.write_bytes(answer.content)
        part.rename(target)

    _in_threads(fetch, uids)


def urllib_pool(url: str, uids: list[str], folder: Path) -> None:
    """Threads with urllib.request.urlopen, which opens a connection for each file."""

    def fetch(uid: str) -> None:
        target = folder / hub_path(uid)
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(f"{url}/{hub_path(uid)}", timeout=60) as answer:
            target.with_suffix(".part").write_bytes(answer.read())
        target.with_suffix(".part").rename(target)

    _in_threads(fetch, uids)


def _in_threads(fetch: Callable[[str], None], uids: list[str]) -> None:
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(fetch, uids))


METHODS: dict[str, Method] = {
    "ours": ours,
    "objaverse": objaverse_package,
    "requests": requests_pool,
    "urllib": urllib_pool,
}
