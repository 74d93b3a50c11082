"""Stage download against a hub on which every object has its own fault, and against disks that are too small."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tasks.artifacts.tables import folder_of
from tasks.outcome import Done, Failed, Rejected
from tests.infra.server import Fault, WebServer
from tests.small_disk import small_disk
from tests.tasks.hub import glb, hub_path, lay_out_hub
from tests.tasks.test_download import hub_tools, run_download, selected_from
from tests.tasks.toolbox import notes_of

PAGE = b"\n<!DOCTYPE html><title>Sign in</title>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5\n"
PAUSES = (
    (429, ("Retry-After", "1")),
    (429, ("RateLimit", '"resolvers";r=0;t=1')),
    (503, ("Retry-After", "1")),
    (503, ("RateLimit", "limit=9, remaining=0, reset=1")),
)
OTHER = glb("other" * 400)


def good(name: str) -> bytes:
    return glb(name * 300)


HALF = len(good("00")) // 2
HASHED = (("X-Repo-Commit", "0" * 40), ("X-Linked-ETag", f'"{hashlib.sha256(good("hashed")).hexdigest()}"'))
"""What a hub says of a file whose content is good("hashed")."""
BRIEFLY: dict[str, list[Fault]] = {
    **{f"pause{index}": [Fault(status=status, headers=(header,))] for index, (status, header) in enumerate(PAUSES)},
    "older": [Fault(status=429, headers=(("RateLimit-Remaining", "0"), ("RateLimit-Reset", "1")))],
    "busy": [Fault(status=503)],
    "cut": [Fault(after_bytes=700)],
    "no_range": [Fault(after_bytes=700), Fault(content_range="")],
    "other_range": [Fault(after_bytes=700), Fault(content_range="bytes 1-2/3")],
    "changed": [Fault(after_bytes=700, content=OTHER)],
    "too_long": [Fault(length=100_000)],
    "too_short": [Fault(length=700)],
    "silent_cut": [Fault(after_bytes=700, length=-1)],
    "chunks": [Fault(is_chunked=True, after_bytes=700)],
    "page": [Fault(content=PAGE)],
    "pointer": [Fault(content=POINTER)],
    "empty": [Fault(content=b"")],
    "hashed": [Fault(content=OTHER, headers=HASHED), Fault(headers=HASHED)],
    "stalled": [Fault(pause=0.1)],
    "hanging": [Fault(hang=True)],
    "plain": [],
}
"""Faults that the same run gets over."""
TODAY: dict[str, tuple[list[Fault], str]] = {
    "forbidden": ([Fault(status=403)], "the server does not allow it (403 Forbidden)"),
    "error": ([Fault(status=500)] * 2, "the server answers 500 Internal Server Error (tried 2 times)"),
    "refused": ([Fault(status=503)] * 2, "the server answers 503 Service Unavailable (tried 2 times)"),
    "teapot": ([Fault(status=418)], "the server answers 418 I'm a Teapot"),
    "broken": ([Fault(after_bytes=700), Fault(after_bytes=100)], "IncompleteRead"),
    "page": ([Fault(content=PAGE)] * 2, r"not a GLB file: it starts with b'\n<!D'"),
    "pointer": ([Fault(content=POINTER)] * 2, "a git-LFS pointer"),
    "changing": ([Fault(content=b"one"), Fault(content=b"two")], "the server sent other bytes before"),
    "hashed": ([Fault(content=OTHER, headers=HASHED)] * 2, "but the server says"),
}
"""Faults that a run does not get over, but the next one."""
BROKEN = good("00")
FOR_GOOD: dict[str, tuple[bytes | int, str]] = {
    "missing": (404, "not on the server (404)"),
    "gone": (410, "not on the server (410)"),
    "truncated": (BROKEN[:-8], f"GLB of {len(BROKEN)} bytes according to its header, {len(BROKEN) - 8} in fact"),
    "rubbish": (BROKEN + b"rubbish", f"GLB of {len(BROKEN)} bytes according to its header"),
    "chunk": (BROKEN[:12] + b"\xff\xff" + BROKEN[14:], "the chunk b'JSON' of the GLB file reaches to byte 65555"),
    "no_json": (BROKEN[:16] + b"BIN\0" + BROKEN[20:], "the first chunk of the GLB file is b'BIN\\x00', not its JSON"),
    "no_chunk": (b"glTF\2\0\0\0\x0c\0\0\0", "the GLB file has no chunks"),
    "empty": (b"", "the file is empty"),
    "large": (glb("x" * 400_000), "larger than max_mb 0.2"),
}


class Objects(NamedTuple):
    """Objects by how long their fault lasts: uid -> name of the fault."""

    briefly: dict[str, str]
    today: dict[str, str]
    for_good: dict[str, str]

    @property
    def all(self) -> list[str]:
        return [*self.briefly, *self.today, *self.for_good]


def number(names: Iterable[str], letter: str) -> dict[str, str]:
    return {f"{letter}{index:02d}": name for index, name in enumerate(names)}


OBJECTS = Objects(number(BRIEFLY, "b"), number(TODAY, "t"), number(FOR_GOOD, "z"))


def content_of(uid: str) -> bytes:
    if (name := OBJECTS.for_good.get(uid)) is not None:
        content = FOR_GOOD[name][0]
        return content if isinstance(content, bytes) else good(uid)
    name = OBJECTS.briefly.get(uid) or OBJECTS.today[uid]
    return good("hashed") if name == "hashed" else good(uid)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WebServer]:
    lay_out_hub(tmp_path / "hub", {uid: content_of(uid) for uid in OBJECTS.all})
    with WebServer(tmp_path / "hub") as web:
        for uid, name in OBJECTS.briefly.items():
            web.faults[hub_path(uid)] = list(BRIEFLY[name])
        for uid, name in OBJECTS.today.items():
            web.faults[hub_path(uid)] = list(TODAY[name][0])
        for uid, name in OBJECTS.for_good.items():
            content = FOR_GOOD[name][0]
            web.faults[hub_path(uid)] = [Fault(status=content)] if isinstance(content, int) else []
        yield web


def select(folder: Path, uids: list[str]) -> None:
    selected_from(folder, {uid: hub_path(uid) for uid in uids})


def found_in(out: Path) -> dict[str, bytes]:
    """Objects of a folder, after checking that each lies where it should and nothing else does."""
    found = {path.stem: path for path in out.rglob("*") if path.is_file() and path.parent != out}
    for uid, path in found.items():
        assert path == out / folder_of(uid) / f"{uid}.glb"
    return {uid: path.read_bytes() for uid, path in found.items()}


@pytest.mark.slow(seconds=8)
def test_download_brings_every_good_object_and_a_record_of_every_bad_one(hub: WebServer, tmp_path: Path) -> None:
    select(tmp_path, OBJECTS.all)
    tools = hub_tools(tmp_path / "work", hub.url, read_timeout=3.0)
    first = run_download(tmp_path, tools, max_mb=0.2, max_failed_share=0.5)
    assert found_in(tmp_path / "objects") == {uid: content_of(uid) for uid in OBJECTS.briefly}
    for uid, name in OBJECTS.today.items():
        row = first[uid]
        assert isinstance(row, Failed), row
        assert TODAY[name][1] in row.error
    for uid, name in OBJECTS.for_good.items():
        row = first[uid]
        assert isinstance(row, Rejected), row
        assert FOR_GOOD[name][1] in row.reason

    hub.requests.clear()
    second = run_download(tmp_path, tools, max_mb=0.2, max_failed_share=0.0)
    assert sorted(hub.requests) == sorted(map(hub_path, OBJECTS.today))
    good_ones = {uid: content_of(uid) for uid in [*OBJECTS.briefly, *OBJECTS.today]}
    assert found_in(tmp_path / "objects") == good_ones
    assert {uid: second[uid] for uid in OBJECTS.for_good} == {uid: first[uid] for uid in OBJECTS.for_good}
    assert all(isinstance(second[uid], Done) for uid in good_ones)
    assert [path.name for path in tools.work.rglob(".*")] == []
    assert "9 were rejected before" in notes_of(tools)[-1]

    hub.requests.clear()
    assert run_download(tmp_path, tools, max_mb=0.2) == second
    assert hub.requests == []


def test_rejected_objects_are_asked_for_again_elsewhere_with_another_limit_and_on_demand(
    hub: WebServer, tmp_path: Path
) -> None:
    uids = [uid for uid, name in OBJECTS.for_good.items() if name in ("truncated", "large")]
    select(tmp_path, [*uids, "b00"])
    hub.faults.clear()
    tools = hub_tools(tmp_path / "work", hub.url)
    run_download(tmp_path, tools, max_mb=0.2)
    asked = sorted(map(hub_path, uids))
    hub.requests.clear()
    run_download(tmp_path, tools, max_mb=0.3)
    assert sorted(set(hub.requests)) == asked
    [journal] = tools.work.rglob("rejected.jsonl")
    journal.unlink()
    hub.requests.clear()
    run_download(tmp_path, tools, max_mb=0.3)
    assert sorted(set(hub.requests)) == asked
    with WebServer(hub.folder) as mirror:
        for uid in uids:
            (hub.folder / hub_path(uid)).write_bytes(good(uid))
        rows = run_download(tmp_path, hub_tools(tmp_path / "work", mirror.url), max_mb=0.3)
        assert sorted(mirror.requests) == asked
    assert all(isinstance(row, Done) for row in rows.values())


def test_hub_that_has_none_of_the_objects_is_not_remembered(hub: WebServer, tmp_path: Path) -> None:
    select(tmp_path, ["b00"])
    hub.faults[hub_path("b00")] = [Fault(status=404)]
    with pytest.raises(RuntimeError, match=r"none of 1 objects is left\. First: .*not on the server \(404\)"):
        run_download(tmp_path, hub_tools(tmp_path / "work", hub.url))
    assert isinstance(run_download(tmp_path, hub_tools(tmp_path / "work", hub.url))["b00"], Done)


@pytest.mark.slow(seconds=2)
def test_mirror_without_its_large_files_stops_after_the_first_objects(tmp_path: Path) -> None:
    uids = [f"m{index:02d}" for index in range(60)]
    lay_out_hub(tmp_path / "hub", dict.fromkeys(uids, POINTER))
    select(tmp_path, uids)
    with (
        WebServer(tmp_path / "hub") as web,
        pytest.raises(RuntimeError, match=r"each of the first 20 objects failed.*git-LFS pointer"),
    ):
        run_download(tmp_path, hub_tools(tmp_path / "work", web.url))
    assert not (tmp_path / "objects").exists()


def test_download_from_a_hub_that_leads_elsewhere_sends_its_token_to_the_hub_alone(
    hub: WebServer, tmp_path: Path
) -> None:
    path = hub_path("b00")
    select(tmp_path, ["b00"])
    with WebServer(hub.folder) as cdn:
        half = Fault(after_bytes=HALF)
        cdn.faults[path] = [half, Fault()]
        hub.faults[path] = [Fault(status=302, headers=(("Location", f"{cdn.url}/{path}"),))] * 2
        run_download(tmp_path, hub_tools(tmp_path / "work", hub.url, token="hf_secret", token_urls=[hub.url]))
        assert cdn.tokens == [None, None]
        assert cdn.sent[path] == len(content_of("b00"))
    assert hub.tokens == ["Bearer hf_secret"] * 2
    assert found_in(tmp_path / "objects") == {"b00": content_of("b00")}


@pytest.mark.slow(seconds=3)
def test_download_foretells_a_full_disk_stops_at_its_reserve_and_keeps_what_is_here(tmp_path: Path) -> None:
    objects = {f"m{index:02d}": glb("x" * 20_000) for index in range(60)}
    lay_out_hub(tmp_path / "hub", objects)
    reserve, folder = 1_300_000, tmp_path / "disk"
    with small_disk(folder) as resize, WebServer(tmp_path / "hub") as hub:
        assert resize(2000) == 0
        select(folder, list(objects))
        tools = replace(hub_tools(folder, hub.url, disk_reserve=reserve), disk_reserve=reserve)
        with pytest.raises(
            RuntimeError, match=r"full up to a reserve of 0.0013 GB .*, \d+ of 60 objects are here.*stay"
        ):
            run_download(folder, tools)
        one_chunk_of_each_thread = 16 * 20_480
        assert shutil.disk_usage(folder).free > reserve - one_chunk_of_each_thread
        assert list(tools.work.rglob(".*.part")) == []
        assert not (folder / "objects").exists()
        [note] = notes_of(tools)
        assert note.startswith("download: about ")
        assert note.endswith("or lower select.max_objects; it goes on until the disk is full up to the reserve")
        assert resize(4000) == 0
        hub.requests.clear()
        run_download(folder, tools)
        assert 0 < len(hub.requests) < 60
        assert found_in(folder / "objects") == objects
