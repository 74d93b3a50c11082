"""The store against a real web server that misbehaves; what it says to hubs."""

import errno
import hashlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from infra.storage.store import RemoteStore
from tests.infra.server import Fault, WebServer

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.bin").write_bytes(CONTENT)
    with WebServer(folder) as web:
        yield web


def make_store(**settings: Any) -> RemoteStore:
    return RemoteStore(**{"attempts": 3, "backoff": 0.01, "connect_timeout": 60.0, "read_timeout": 60.0, **settings})


def break_off(server: WebServer, target: Path) -> None:
    """Leave the first 700,000 bytes of a.bin for the next fetch."""
    server.faults["a.bin"] = [Fault(after_bytes=700_000)]
    with pytest.raises(ConnectionError):
        make_store(attempts=1).fetch(f"{server.url}/a.bin", target)


def only_file(target: Path) -> bytes:
    """The content of the target, after checking that nothing lies beside it."""
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return target.read_bytes()


def test_fetch_http_writes_the_whole_file(server: WebServer, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    make_store().fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT


def test_fetch_busy_server_is_asked_again(server: WebServer, tmp_path: Path) -> None:
    server.faults["a.bin"] = [Fault(status=503), Fault(status=429, headers=(("Retry-After", "0"),))]
    make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT
    assert server.requests == ["a.bin"] * 3


def test_fetch_always_busy_server_raises_oserror_with_the_status(server: WebServer, tmp_path: Path) -> None:
    server.faults["a.bin"] = [Fault(status=500)] * 3
    with pytest.raises(OSError, match=r"a\.bin: the server answers 500.*tried 3 times") as caught:
        make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert not isinstance(caught.value, ConnectionError)
    assert not (tmp_path / "got" / "a.bin").exists()


def test_fetch_always_refused_raises_connectionerror_that_says_busy(server: WebServer, tmp_path: Path) -> None:
    server.faults["a.bin"] = [Fault(status=503)] * 3
    with pytest.raises(ConnectionError, match=r"a\.bin: the server answers 503.*tried 3 times") as caught:
        make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert caught.value.errno == errno.EBUSY


@pytest.mark.slow(seconds=4)
def test_fetch_waits_as_long_as_the_hub_asks_and_counts_that_as_no_attempt(server: WebServer, tmp_path: Path) -> None:
    pause = Fault(status=429, headers=(("RateLimit", '"resolvers";r=0;t=1'),))
    server.faults["a.bin"] = [pause, pause]
    make_store(attempts=1).fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT
    waits = [later - sooner for sooner, later in pairwise(server.times)]
    assert len(waits) == 2
    assert min(waits) >= 1.0


@pytest.mark.slow(seconds=2)
def test_pause_holds_all_connections(server: WebServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"{index}.bin" for index in range(6)]
    for name in names:
        (server.folder / name).write_bytes(name.encode())
    server.faults["a.bin"] = [Fault(status=429, headers=(("Retry-After", "1"),))]
    store = make_store(attempts=1)
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(store.fetch, f"{server.url}/a.bin", tmp_path / "a.bin")
        while not server.requests:
            time.sleep(0.01)
        while "asks for a pause" not in caplog.text:
            time.sleep(0.01)
        others = [threads.submit(store.fetch, f"{server.url}/{name}", tmp_path / name) for name in names]
        for one in (first, *others):
            one.result()
    assert min(server.times[1:]) - server.times[0] >= 1.0


@pytest.mark.slow(seconds=2)
def test_allowance_that_is_used_up_pauses_before_a_refusal(server: WebServer, tmp_path: Path) -> None:
    server.headers["a.bin"] = {"RateLimit": '"api";r=90;t=300, "resolvers";r=0;t=1'}
    store = make_store()
    for name in ("first", "second"):
        store.fetch(f"{server.url}/a.bin", tmp_path / name)
    assert server.times[1] - server.times[0] >= 1.0


def test_pause_of_more_than_an_hour_is_said_at_once(server: WebServer, tmp_path: Path) -> None:
    server.faults["a.bin"] = [Fault(status=429, headers=(("Retry-After", "7200"),))]
    with pytest.raises(ConnectionError, match=r"asks to wait 7201 s; run it again then"):
        make_store().fetch(f"{server.url}/a.bin", tmp_path / "a.bin")


def test_closed_store_lets_nobody_wait(server: WebServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.faults["a.bin"] = [Fault(status=429, headers=(("Retry-After", "3000"),))]
    store = make_store()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(store.fetch, f"{server.url}/a.bin", tmp_path / "a.bin")
        while "asks for a pause" not in caplog.text:
            time.sleep(0.01)
        store.close()
        with pytest.raises(ConnectionError, match="called off"):
            waiting.result()


TOKEN = "hf_secret"


def test_token_is_sent_to_the_hub_alone(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(CONTENT)
    with WebServer(tmp_path) as cdn:
        server.faults["b.bin"] = [Fault(status=302, headers=(("Location", f"{cdn.url}/b.bin"),))]
        store = make_store(token=TOKEN, token_urls=[f"{server.url}/datasets"])
        store.fetch(f"{server.url}/a.bin", tmp_path / "got-a")
        store.fetch(f"{server.url}/b.bin", tmp_path / "got-b")
        store.fetch(f"{cdn.url}/b.bin", tmp_path / "got-c")
        assert server.tokens == [f"Bearer {TOKEN}"] * 2
        assert cdn.tokens == [None, None]


@pytest.mark.parametrize(
    ("token", "remedy"), [(None, "set HF_TOKEN to the token of an account"), (TOKEN, "accept the conditions")]
)
def test_gated_file_says_what_to_do(server: WebServer, tmp_path: Path, token: str | None, remedy: str) -> None:
    server.faults["a.bin"] = [Fault(status=401, headers=(("X-Error-Message", "Access to it is restricted."),))]
    with pytest.raises(PermissionError, match=rf"401 .*: Access to it is restricted\); .*{remedy}"):
        make_store(token=token, token_urls=[server.url]).fetch(f"{server.url}/a.bin", tmp_path / "a.bin")


def test_fetch_from_server_that_knows_no_if_range_does_not_mix_two_files(server: WebServer, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    server.if_range = False
    break_off(server, target)
    (server.folder / "a.bin").write_bytes(CONTENT[::-1])
    make_store().fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT[::-1]


HASHES = {
    "LFS": hashlib.sha256(CONTENT).hexdigest(),
    "git": hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest(),
}


@pytest.mark.parametrize("value", HASHES.values(), ids=HASHES)
def test_fetch_from_a_hub_checks_the_hash(server: WebServer, tmp_path: Path, value: str) -> None:
    server.headers["a.bin"] = {"X-Repo-Commit": "0" * 40, "X-Linked-ETag": f'"{value}"'}
    make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    (server.folder / "a.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(OSError, match=rf"hash is \w+, but the server says {value} \(tried 3 times\)"):
        make_store().fetch(f"{server.url}/a.bin", tmp_path / "again" / "a.bin")
    assert not list((tmp_path / "again").iterdir())


def test_part_that_was_spoilt_is_started_over_where_the_hub_names_the_hash(server: WebServer, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    server.headers["a.bin"] = {"X-Repo-Commit": "0" * 40, "X-Linked-ETag": f'"{HASHES["LFS"]}"'}
    break_off(server, target)
    (target.parent / ".a.bin.part").write_bytes(bytes(700_000))
    make_store(attempts=1).fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT


def test_fetch_missing_file_raises_at_once_and_leaves_nothing(server: WebServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="404"):
        make_store().fetch(f"{server.url}/b.bin", tmp_path / "got" / "b.bin")
    assert server.requests == ["b.bin"]
    assert list((tmp_path / "got").iterdir()) == []


def test_fetch_broken_line_continues_where_it_broke(server: WebServer, tmp_path: Path) -> None:
    server.faults["a.bin"] = [Fault(after_bytes=400_000), Fault(after_bytes=400_000)]
    make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT
    assert server.sent["a.bin"] == len(CONTENT)


def test_fetch_after_a_failed_fetch_asks_only_for_the_rest(server: WebServer, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    break_off(server, target)
    assert not target.exists()
    server.sent.clear()
    make_store().fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT
    assert server.sent["a.bin"] == len(CONTENT) - 700_000


def test_fetch_file_that_changed_meanwhile_starts_anew(server: WebServer, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    break_off(server, target)
    (server.folder / "a.bin").write_bytes(CONTENT[::-1])
    make_store().fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT[::-1]


def test_fetch_from_server_without_ranges_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with WebServer(tmp_path, ranges=False) as web:
        web.faults["a.bin"] = [Fault(after_bytes=10)]
        make_store().fetch(f"{web.url}/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT


def test_fetch_complete_part_of_a_killed_run_is_not_trusted_beyond_its_end(server: WebServer, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    break_off(server, target)
    (target.parent / ".a.bin.part").write_bytes(CONTENT + b"more")
    make_store().fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT


@pytest.mark.slow(seconds=3)
def test_fetch_hanging_server_ends_after_the_timeout(server: WebServer, tmp_path: Path) -> None:
    server.faults["a.bin"] = [Fault(hang=True)]
    make_store(read_timeout=2.0).fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT
    server.faults["a.bin"] = [Fault(hang=True)]
    with pytest.raises(ConnectionError, match="timed out"):
        make_store(attempts=1, read_timeout=0.5).fetch(f"{server.url}/a.bin", tmp_path / "again" / "a.bin")


def test_fetch_without_server_says_connection_refused(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.bin"
        with pytest.raises(ConnectionError, match="Connection refused"):
            make_store().fetch(url, tmp_path / "a.bin")


def test_fetch_too_large_file_raises_efbig_before_the_body(server: WebServer, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the limit is 1000") as caught:
        make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin", max_bytes=1000)
    assert caught.value.errno == errno.EFBIG
    assert list((tmp_path / "got").iterdir()) == []


def test_fetch_on_full_disk_raises_enospc_and_leaves_nothing(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / ".a.bin.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / "got").iterdir()) == []


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_fetch_local_file_copies_it(tmp_path: Path, form: str) -> None:
    source = tmp_path / "with space.bin"
    source.write_bytes(CONTENT)
    url = form.format(source if form == "{}" else str(source).replace(" ", "%20"))
    make_store().fetch(url, tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT
    with pytest.raises(FileNotFoundError, match="nothing"):
        make_store().fetch(str(tmp_path / "nothing"), tmp_path / "b.bin")


def test_fetch_unknown_scheme_raises_valueerror_naming_the_choices(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ftp://x/y.*use http"):
        make_store().fetch("ftp://x/y", tmp_path / "y")


def test_fetch_chunked_body_is_whole_and_a_cut_one_is_fetched_again(server: WebServer, tmp_path: Path) -> None:
    server.faults["a.bin"] = [Fault(is_chunked=True, after_bytes=20_000), Fault(is_chunked=True)]
    make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT
    assert server.requests == ["a.bin"] * 2


def test_fetch_with_a_content_length_that_is_too_long_never_counts_as_whole(server: WebServer, tmp_path: Path) -> None:
    server.faults["a.bin"] = [Fault(length=len(CONTENT) + 5)]
    with pytest.raises(ConnectionError, match=r"a\.bin: .*1048576"):
        make_store(attempts=1).fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert not (tmp_path / "got" / "a.bin").exists()
    make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT


@pytest.mark.parametrize("span", ["", "bytes 5-9/10", "lines 1-2", "bytes 700000-1048575/*"])
def test_fetch_answer_with_a_wrong_range_is_not_appended(server: WebServer, tmp_path: Path, span: str) -> None:
    target = tmp_path / "got" / "a.bin"
    break_off(server, target)
    server.faults["a.bin"] = [Fault(content_range=span)]
    make_store(attempts=1).fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT


def test_fetch_body_that_comes_a_byte_at_a_time_counts_as_a_broken_line(server: WebServer, tmp_path: Path) -> None:
    """No read times out, since a byte comes every 50 ms."""
    server.faults["a.bin"] = [Fault(pause=0.05)]
    with pytest.raises(ConnectionError, match=r"the line is stalled: \d+ bytes came in 0 s"):
        make_store(attempts=1, read_timeout=0.4).fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    make_store(read_timeout=60.0).fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT


def test_fetch_redirects_without_end_fail_with_the_address(server: WebServer, tmp_path: Path) -> None:
    server.faults["a.bin"] = [Fault(status=302, headers=(("Location", "/a.bin"),))] * 40
    with pytest.raises(OSError, match=r"a\.bin: .*redirects"):
        make_store().fetch(f"{server.url}/a.bin", tmp_path / "got" / "a.bin")


def test_fetch_goes_through_the_proxy_of_the_environment(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is asked for the whole address, which is the path of a file here."""
    there = server.folder / "http:" / "hub.invalid" / "a.bin"
    there.parent.mkdir(parents=True)
    there.write_bytes(CONTENT)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    store = make_store(attempts=1)
    for name in ("one", "two"):
        store.fetch("http://hub.invalid/a.bin", tmp_path / name)
        assert (tmp_path / name).read_bytes() == CONTENT
    assert server.requests == ["http://hub.invalid/a.bin"] * 2


def test_part_of_a_changed_file_is_continued_by_its_own_version(server: WebServer, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    break_off(server, target)
    before = (target.parent / ".a.bin.version").read_text()
    (server.folder / "a.bin").write_bytes(CONTENT[::-1])
    server.faults["a.bin"] = [Fault(after_bytes=500_000)]
    with pytest.raises(ConnectionError):
        make_store(attempts=1).fetch(f"{server.url}/a.bin", target)
    assert (target.parent / ".a.bin.version").read_text() != before
    server.sent.clear()
    make_store().fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT[::-1]
    assert server.sent["a.bin"] == len(CONTENT) - 500_000
