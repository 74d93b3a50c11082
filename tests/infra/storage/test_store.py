"""The store against a real web server that misbehaves, and against an S3 server."""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.storage.store import RemoteStore
from tests.infra.s3 import S3Server
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
    server.faults["a.bin"] = [Fault(after_bytes=700_000)]
    with pytest.raises(ConnectionError):
        make_store(attempts=1).fetch(f"{server.url}/a.bin", target)
    assert not target.exists()
    server.sent.clear()
    make_store().fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT
    assert server.sent["a.bin"] == len(CONTENT) - 700_000


def test_fetch_file_that_changed_meanwhile_starts_anew(server: WebServer, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    server.faults["a.bin"] = [Fault(after_bytes=700_000)]
    with pytest.raises(ConnectionError):
        make_store(attempts=1).fetch(f"{server.url}/a.bin", target)
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
    server.faults["a.bin"] = [Fault(after_bytes=700_000)]
    with pytest.raises(ConnectionError):
        make_store(attempts=1).fetch(f"{server.url}/a.bin", target)
    (target.parent / ".a.bin.part").write_bytes(CONTENT + b"more")
    make_store().fetch(f"{server.url}/a.bin", target)
    assert only_file(target) == CONTENT


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


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with S3Server() as server:
        yield server.url


@pytest.fixture
def bucket(s3_url: str, s3_credentials: None) -> str:  # noqa: ARG001
    client = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1")
    client.create_bucket(Bucket="objects")
    client.put_object(Bucket="objects", Key="some/a.bin", Body=CONTENT)
    return "s3://objects"


def test_fetch_s3_writes_the_whole_file(s3_url: str, bucket: str, tmp_path: Path) -> None:
    make_store(s3_endpoint_url=s3_url).fetch(f"{bucket}/some/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == CONTENT


def test_fetch_s3_continues_an_unfinished_part(s3_url: str, bucket: str, tmp_path: Path) -> None:
    client = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1")
    tag = client.head_object(Bucket="objects", Key="some/a.bin")["ETag"]
    (tmp_path / "got").mkdir()
    marked = b"?" * 1000  # shows that these bytes were kept rather than fetched again
    (tmp_path / "got" / ".a.bin.part").write_bytes(marked)
    (tmp_path / "got" / ".a.bin.version").write_text(tag)
    make_store(s3_endpoint_url=s3_url).fetch(f"{bucket}/some/a.bin", tmp_path / "got" / "a.bin")
    assert only_file(tmp_path / "got" / "a.bin") == marked + CONTENT[1000:]


def test_fetch_s3_missing_key_raises_filenotfound(s3_url: str, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"s3://objects/other: .*404"):
        make_store(s3_endpoint_url=s3_url).fetch(f"{bucket}/other", tmp_path / "a.bin")


def test_fetch_s3_without_server_raises_connectionerror(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="tried 2 times"):
        make_store(s3_endpoint_url="http://127.0.0.1:9", attempts=2).fetch(f"{bucket}/a.bin", tmp_path / "a.bin")
