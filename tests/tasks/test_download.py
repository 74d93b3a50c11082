"""Stage download against a server that fails in every way we know."""

import errno
import hashlib
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Semaphore
from typing import Any

import pyarrow as pa
import pytest

from infra.storage.store import RemoteStore
from tasks.artifacts.manifest import Kind, open_manifest, read_ledger, seal
from tasks.artifacts.tables import (
    Entry,
    SelectedEntry,
    catalog_table,
    folder_of,
    read_columns,
    read_objects,
    write_selected,
    write_table,
)
from tasks.catalog import make_catalog
from tasks.config import CatalogConfig, DownloadConfig
from tasks.download import download_objects
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.ports import Tools
from tasks.select import select_objects
from tasks.sources.fetched import Fetched, FetchKind
from tasks.sources.fetching import Fetcher
from tasks.sources.parallel_fetching import MAX_CONSECUTIVE_OFFLINE, fetch_in_parallel
from tasks.sources.source import Listing
from tests.infra.server import Fault, WebServer
from tests.tasks.hub import catalog_config, glb, hub_path, lay_out_hub
from tests.tasks.test_select import select_config
from tests.tasks.toolbox import make_tools

OBJECTS = {f"object{index:02d}": glb(f"{index}" * 5000) for index in range(10)}
FIRST = hub_path("object00")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WebServer]:
    lay_out_hub(tmp_path / "hub", OBJECTS)
    with WebServer(tmp_path / "hub") as web:
        yield web


def hub_tools(folder: Path, url: str, **changes: Any) -> Tools:
    store = RemoteStore(**{"attempts": 2, "backoff": 0.01, "read_timeout": 60.0, **changes})
    return make_tools(folder, hub_url=url, store=store)


def selected_from(folder: Path, entries: dict[str, str], source: str = "objaverse") -> Path:
    """A sealed folder of selected objects: uid -> location."""
    rows = [
        SelectedEntry(uid, location, 6.0, f"Thing {uid}", "by", source, "train") for uid, location in entries.items()
    ]
    write_selected(folder / "selected" / "objects.parquet", rows)
    seal(folder / "selected", Kind.SELECTED, config=select_config(), inputs={})
    return folder / "selected"


def run_download(
    folder: Path, tools: Tools, *, catalog: CatalogConfig | None = None, out: str = "objects", **changes: Any
) -> dict[str, Outcome]:
    selected = folder / "selected"
    if not selected.exists():
        selected_from(folder, {uid: hub_path(uid) for uid in OBJECTS})
    config = DownloadConfig.model_validate({"max_mb": 1.0, "max_failed_share": 0.2} | changes)
    download_objects(selected, catalog or catalog_config(), config, 0, folder / out, tools)
    return {row.uid: row for row in read_ledger(folder / out)}


def test_download_writes_every_object_with_its_hash(hub: WebServer, tmp_path: Path) -> None:
    rows = run_download(tmp_path, hub_tools(tmp_path, hub.url))
    files = read_objects(tmp_path / "objects" / "objects.parquet")
    assert [file.uid for file in files] == sorted(OBJECTS)
    for file in files:
        content = file.path(tmp_path / "objects").read_bytes()
        assert content == OBJECTS[file.uid]
        assert (file.sha256, file.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert file.file == f"{folder_of(file.uid)}/{file.uid}.glb"
        assert (file.split, file.score, file.title, file.license) == ("train", 6.0, f"Thing {file.uid}", "by")
    assert all(isinstance(row, Done) for row in rows.values())
    assert open_manifest(tmp_path / "objects", Kind.OBJECTS).counts["done"] == 10


def test_download_that_ran_twice_fetches_nothing_again_and_writes_equal_bytes(hub: WebServer, tmp_path: Path) -> None:
    tools = hub_tools(tmp_path, hub.url)
    run_download(tmp_path, tools)
    hub.requests.clear()
    run_download(tmp_path, tools, out="again")
    assert hub.requests == []
    for path in (tmp_path / "objects").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "objects")).read_bytes()


def test_download_rerun_into_its_folder_leaves_no_object_of_before(hub: WebServer, tmp_path: Path) -> None:
    tools = hub_tools(tmp_path, hub.url)
    run_download(tmp_path, tools)
    selected_from(tmp_path, {"object03": hub_path("object03")})
    run_download(tmp_path, tools)
    assert [path.name for path in (tmp_path / "objects").rglob("*.glb")] == ["object03.glb"]


@pytest.mark.slow(seconds=1)
def test_download_from_a_mirror_has_the_same_bytes_and_names_no_server(hub: WebServer, tmp_path: Path) -> None:
    hub.faults[FIRST] = [Fault(status=500)] * 2
    rows = run_download(tmp_path, hub_tools(tmp_path / "one", hub.url))
    assert rows["object00"] == Failed(
        "object00", f"{FIRST}: the server answers 500 Internal Server Error (tried 2 times)"
    )
    with WebServer(tmp_path / "hub") as mirror:
        mirror.faults[FIRST] = [Fault(status=500)] * 2
        run_download(tmp_path, hub_tools(tmp_path / "two", mirror.url), out="again")
    for name in ("objects.parquet", "ledger.jsonl", "manifest.json"):
        assert (tmp_path / "objects" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_download_of_an_unfit_object_is_rejected_with_the_reason(hub: WebServer, tmp_path: Path) -> None:
    (hub.folder / hub_path("object00")).unlink()
    (hub.folder / hub_path("object01")).write_bytes(b"nothing of the kind")
    (hub.folder / hub_path("object02")).write_bytes(OBJECTS["object02"][:-7])
    (hub.folder / hub_path("object03")).write_bytes(b"")
    (hub.folder / hub_path("object04")).write_bytes(glb("x" * 200_000))
    (hub.folder / hub_path("object05")).write_bytes(b"glTF\1\0\0\0" + OBJECTS["object05"][8:])
    rows = run_download(tmp_path, hub_tools(tmp_path, hub.url), max_mb=0.1)
    size = len(OBJECTS["object02"])
    assert {uid: row.reason for uid, row in rows.items() if isinstance(row, Rejected)} == {
        "object00": f"{hub_path('object00')}: not on the server (404)",
        "object01": "not a GLB file: it starts with b'noth'",
        "object02": f"GLB of {size} bytes according to its header, {size - 7} in fact",
        "object03": "the file is empty",
        "object04": "larger than max_mb 0.1",
        "object05": "GLB version 1; only 2 can be read",
    }
    assert len(list((tmp_path / "objects").rglob("*.glb"))) == 4


def test_download_with_too_many_failures_raises_and_leaves_no_manifest(hub: WebServer, tmp_path: Path) -> None:
    for uid in list(OBJECTS)[:3]:
        hub.faults[hub_path(uid)] = [Fault(status=500)] * 2
    with pytest.raises(RuntimeError, match="download: 3 of 10 items failed, more than max_failed_share 20%"):
        run_download(tmp_path, hub_tools(tmp_path, hub.url))
    assert not (tmp_path / "objects" / "manifest.json").exists()


@pytest.mark.slow(seconds=9)
def test_download_from_a_hub_that_asks_for_a_pause_fails_no_object(hub: WebServer, tmp_path: Path) -> None:
    paths = [hub_path(uid) for uid in list(OBJECTS)[:4]]
    for path in paths:
        hub.faults[path] = [Fault(status=429, headers=(("RateLimit", '"resolvers";r=0;t=1'),))] * 3
    rows = run_download(tmp_path, hub_tools(tmp_path / "work", hub.url, attempts=1), max_failed_share=0.0)
    assert all(isinstance(row, Done) for row in rows.values())


@pytest.mark.slow(seconds=4)
def test_download_from_a_hub_that_stays_busy_stops_and_keeps_what_is_here(tmp_path: Path) -> None:
    objects = {f"object{index:02d}": glb(str(index)) for index in range(MAX_CONSECUTIVE_OFFLINE + 4)}
    lay_out_hub(tmp_path / "hub", objects)
    paths = {uid: hub_path(uid) for uid in objects}
    with WebServer(tmp_path / "hub") as hub:
        tools = hub_tools(tmp_path / "work", hub.url)
        selected_from(tmp_path, {"object00": paths["object00"]})
        run_download(tmp_path, tools)
        selected_from(tmp_path, paths)
        for path in paths.values():
            hub.faults[path] = [Fault(status=503)] * 20
        with pytest.raises(ConnectionError, match=r"the server stays busy, 1 of 20 objects are here: .*503.*stays$"):
            run_download(tmp_path, tools)
        hub.faults.clear()
        hub.requests.clear()
        rows = run_download(tmp_path, tools)
        assert all(isinstance(row, Done) for row in rows.values())
        assert paths["object00"] not in hub.requests


def test_download_after_a_breakdown_asks_only_for_what_is_missing(hub: WebServer, tmp_path: Path) -> None:
    cut, refused = hub_path("object04"), hub_path("object07")
    half = len(OBJECTS["object04"]) // 2
    hub.faults[cut] = [Fault(after_bytes=half)]
    hub.faults[refused] = [Fault(status=500)]
    with pytest.raises(RuntimeError, match="2 of 10 items failed"):
        run_download(tmp_path, hub_tools(tmp_path, hub.url, attempts=1), max_failed_share=0.1)
    hub.requests.clear()
    hub.sent.clear()
    rows = run_download(tmp_path, hub_tools(tmp_path, hub.url), max_failed_share=0.1)
    assert sorted(hub.requests) == [cut, refused]
    assert hub.sent == {cut: len(OBJECTS["object04"]) - half, refused: len(OBJECTS["object07"])}
    assert all(isinstance(row, Done) for row in rows.values())


def test_download_that_was_killed_keeps_what_it_had(hub: WebServer, tmp_path: Path) -> None:
    stuck = hub_path("object08")
    hub.faults[stuck] = [Fault(hang=True)]
    selected_from(tmp_path, {uid: hub_path(uid) for uid in OBJECTS})
    tools = hub_tools(tmp_path, hub.url, read_timeout=3600.0)
    child = multiprocessing.get_context("fork").Process(target=run_download, args=(tmp_path, tools))
    child.start()
    journal = tools.work / "journal.jsonl"
    while not journal.exists() or journal.read_text().count("done") < len(OBJECTS) - 1:
        assert child.is_alive()
        time.sleep(0.01)
    child.kill()
    child.join()
    assert not (tmp_path / "objects").exists()
    hub.requests.clear()
    run_download(tmp_path, hub_tools(tmp_path, hub.url))
    assert hub.requests == [stuck]


def test_download_object_spoilt_in_the_work_folder_is_fetched_again(hub: WebServer, tmp_path: Path) -> None:
    tools = hub_tools(tmp_path, hub.url)
    run_download(tmp_path, tools)
    [spoilt] = tools.work.rglob("object05.glb")
    spoilt.unlink()
    hub.requests.clear()
    run_download(tmp_path, tools)
    assert hub.requests == [hub_path("object05")]


def test_download_without_a_server_stops_with_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        tools = hub_tools(tmp_path, f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(
            ConnectionError, match=r"does not answer, 0 of 10 objects are here: .*refused.*run the stage"
        ):
            run_download(tmp_path, tools)
    assert not (tmp_path / "objects" / "manifest.json").exists()


def test_download_goes_on_when_the_server_went_away_in_between(tmp_path: Path) -> None:
    lay_out_hub(tmp_path / "hub", OBJECTS)
    selected_from(tmp_path, {uid: hub_path(uid) for uid in list(OBJECTS)[:6]})
    with WebServer(tmp_path / "hub") as web:
        url = web.url
        run_download(tmp_path, hub_tools(tmp_path, url))
    selected_from(tmp_path, {uid: hub_path(uid) for uid in OBJECTS})
    with pytest.raises(RuntimeError, match=r"4 of 10 items failed.*object06\.glb: .*Connection refused"):
        run_download(tmp_path, hub_tools(tmp_path, url))
    with WebServer(tmp_path / "hub") as web:
        run_download(tmp_path, hub_tools(tmp_path, web.url))
        assert sorted(web.requests) == [hub_path(uid) for uid in list(OBJECTS)[6:]]


def done(item: Entry) -> Fetched:
    return Fetched(Done(item.uid), FetchKind.DONE)


def entry(index: int) -> SelectedEntry:
    return SelectedEntry(f"object{index}", "x", None, "", "", "objaverse", "train")


def test_fetch_in_parallel_gives_up_after_too_many_silent_answers_in_a_row() -> None:
    asked: list[str] = []
    permits = Semaphore(2 * MAX_CONSECUTIVE_OFFLINE)

    def fetch(item: Entry) -> Fetched:
        permits.acquire(timeout=1)  # stay at most so far ahead of the reader; the last one waits in vain
        asked.append(item.uid)
        if item.uid in ("object0", "object5"):
            return done(item)
        raise ConnectionError("nobody there")

    def read_all() -> None:
        entries = [entry(index) for index in range(1000)]
        for _ in fetch_in_parallel(fetch, entries, 1, MAX_CONSECUTIVE_OFFLINE):
            permits.release()

    with pytest.raises(ConnectionError, match="nobody there"):
        read_all()
    assert len(asked) < 1000


def test_fetch_in_parallel_counts_single_silent_answers_as_failed() -> None:
    def fetch(item: Entry) -> Fetched:
        if int(item.uid.removeprefix("object")) % MAX_CONSECUTIVE_OFFLINE == 1:
            raise ConnectionError("reset")
        return done(item)

    rows = list(fetch_in_parallel(fetch, [entry(index) for index in range(64)], 1, MAX_CONSECUTIVE_OFFLINE))
    assert sum(isinstance(row.outcome, Failed) for row in rows) == 4
    assert len(rows) == 64


class FullDisk(RemoteStore):
    """A store on a disk that fills up after two objects."""

    def fetch(self, url: str, target: Path, *, max_bytes: int | None = None) -> None:
        if int(url[-6:-4]) >= 2:
            raise OSError(errno.ENOSPC, f"{url}: No space left on device")
        super().fetch(url, target, max_bytes=max_bytes)


def test_download_on_a_full_disk_stops_and_leaves_nothing_half_written(hub: WebServer, tmp_path: Path) -> None:
    tools = make_tools(tmp_path, hub_url=str(hub.folder), store=FullDisk())
    with pytest.raises(
        RuntimeError, match=r"the disk is full up to .*, \d of 10 objects are here\. Free space under .*work"
    ):
        run_download(tmp_path, tools)
    assert not (tmp_path / "objects").exists()
    run_download(tmp_path, hub_tools(tmp_path, hub.url))
    assert sorted(hub.requests) == [hub_path(uid) for uid in list(OBJECTS)[2:]]


def test_download_whose_known_sizes_exceed_the_disk_is_refused_before_it_begins(hub: WebServer, tmp_path: Path) -> None:
    table = selected_from(tmp_path, {uid: hub_path(uid) for uid in OBJECTS}) / "objects.parquet"
    rows = read_columns(table)
    column = rows.schema.get_field_index("bytes")
    write_table(table, rows.set_column(column, "bytes", pa.array([10**17] * len(rows), pa.int64())))
    with pytest.raises(RuntimeError, match=r"1e\+09 GB are still to come, but .* nothing was fetched"):
        run_download(tmp_path, hub_tools(tmp_path, hub.url))
    assert hub.requests == []
    assert not (tmp_path / "objects" / "manifest.json").exists()


def test_download_from_a_folder_follows_its_changes(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "chair.glb").write_bytes(glb("old"))
    (source / "lamp.gltf").write_text('{"buffers": [{"uri": "lamp.bin"}]}')
    (source / "lamp.bin").write_bytes(b"1")
    catalog = catalog_config(source="folder", folder=str(source))
    selected_from(tmp_path, {"chair": "chair.glb", "lamp": "lamp.gltf"}, "folder")
    before = run_download(tmp_path, make_tools(tmp_path), catalog=catalog)
    manifest = open_manifest(tmp_path / "objects", Kind.OBJECTS)
    (source / "chair.glb").write_bytes(glb("new"))
    after = run_download(tmp_path, make_tools(tmp_path), catalog=catalog)
    files = {file.uid: file for file in read_objects(tmp_path / "objects" / "objects.parquet")}
    assert files["chair"].path(tmp_path / "objects").read_bytes() == glb("new")
    assert files["lamp"].file == f"{folder_of('lamp')}/lamp/lamp.gltf"
    assert (files["lamp"].path(tmp_path / "objects").parent / "lamp.bin").read_bytes() == b"1"
    assert (before["lamp"], before["chair"] == after["chair"]) == (after["lamp"], False)
    assert open_manifest(tmp_path / "objects", Kind.OBJECTS).fingerprint != manifest.fingerprint


def test_download_from_a_folder_rejects_odd_files_with_cause_and_remedy(tmp_path: Path) -> None:
    files: dict[str, bytes] = {
        "chair.glb": glb(),
        "linked.glb": b"../store/linked.glb",
        "broken.glb": b"nothing of the kind",
        "error.glb": b'{"error": "not found"}',
        "json.glb": json.dumps({"asset": {"version": "2.0"}}).encode(),
        "binary.gltf": glb(),
        "cut.gltf": glb()[:-4],
        "named.gltf": json.dumps({"images": [{"uri": "wood.png"}]}).encode(),
        "wood.png": b"1",
    }
    for name, content in files.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    catalog = catalog_config(source="folder", folder=str(tmp_path / "in"))
    make_catalog(catalog, 0, tmp_path / "catalog", make_tools(tmp_path))
    select_objects(tmp_path / "catalog", select_config(), 0, tmp_path / "selected", make_tools(tmp_path))
    rows = run_download(tmp_path, make_tools(tmp_path), catalog=catalog)
    reasons = {uid: row.reason for uid, row in rows.items() if isinstance(row, Rejected)}
    assert reasons.keys() == {"linked", "broken", "error", "cut"}
    assert reasons["linked"].startswith(
        "the file is nothing but the text '../store/linked.glb': a link that was stored as"
    )
    assert "text" not in reasons["broken"]
    assert reasons["error"] == "not a GLB file: it starts with b'{\"er'"
    assert reasons["cut"] == f"GLB of {len(glb())} bytes according to its header, {len(glb()) - 4} in fact"


@pytest.mark.parametrize(
    ("error", "reason", "kind"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/in/wood.png"),
            "wood.png may not be read: open it with chmod",
            FetchKind.NOT_ALLOWED,
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory"),
            "No such file or directory",
            FetchKind.MISSING,
        ),
    ],
)
def test_fetch_of_files_that_are_closed_or_gone_is_rejected(
    tmp_path: Path, error: OSError, reason: str, kind: FetchKind
) -> None:
    config = DownloadConfig(max_mb=1, max_failed_share=0)
    fetcher = Fetcher(ClosedFolder(error), config, tmp_path, "http://127.0.0.1")
    assert fetcher.fetch(entry(0)) == Fetched(Rejected(entry(0).uid, reason), kind)


def test_fetch_of_a_side_file_whose_name_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    fetcher = Fetcher(LatinFolder(), DownloadConfig(max_mb=1, max_failed_share=0), tmp_path, "http://127.0.0.1")
    outcome = fetcher.fetch(entry(0)).outcome
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith(r"refers to h\xf6lzern.png, a name that is not UTF-8: rename it")


class ClosedFolder:
    """A source whose files cannot be read; root, which tests may run as, can read them all."""

    is_permanent = False
    num_connections = 1

    def __init__(self, error: OSError) -> None:
        self._error = error

    def listing(self) -> Listing:
        return Listing(catalog_table([entry(0)]))

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:  # noqa: ARG002 - it never answers
        raise self._error


class LatinFolder(ClosedFolder):
    """A source of an object with a texture whose name is Latin-1."""

    def __init__(self) -> None:
        super().__init__(OSError())

    def fetch(self, entry: Entry, folder: Path, *, max_bytes: int | None = None) -> Path:  # noqa: ARG002 - one object
        folder.mkdir(parents=True)
        for name in ("a.obj", os.fsdecode(b"h\xf6lzern.png")):
            (folder / name).write_bytes(b"1")
        return folder / "a.obj"


def test_download_of_procedural_objects_needs_no_server(tmp_path: Path) -> None:
    catalog = catalog_config(source="procedural", procedural_indices=3)
    make_catalog(catalog, 0, tmp_path / "catalog", make_tools(tmp_path))
    select_objects(tmp_path / "catalog", select_config(min_score=0), 0, tmp_path / "selected", make_tools(tmp_path))
    rows = run_download(tmp_path, make_tools(tmp_path), catalog=catalog)
    assert [type(row) for row in rows.values()] == [Done] * 3
    files = read_objects(tmp_path / "objects" / "objects.parquet")
    assert {file.split for file in files} == {"train", "val"}
