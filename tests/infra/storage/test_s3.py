"""The store against an S3 server that misbehaves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.infra.s3 import Answer, S3Server
from tests.infra.storage.test_store import CONTENT, make_store, only_file

NAMES = ["plain.bin", "with blank.bin", "größe-模型.bin", "50%25 #1?+&.bin"]


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def server(s3_server: S3Server, s3_credentials: None) -> S3Server:  # noqa: ARG001
    s3_server.answers.clear()
    client = client_of(s3_server)
    client.create_bucket(Bucket="objects")
    client.put_object(Bucket="objects", Key="some/a.bin", Body=CONTENT)
    s3_server.requests.clear()
    return s3_server


def client_of(server: S3Server) -> Any:
    return boto3.client("s3", endpoint_url=server.url, region_name="us-east-1")


def fetch(server: S3Server, target: Path, key: str = "some/a.bin", **settings: Any) -> bytes:
    make_store(s3_endpoint_url=server.url, **settings).fetch(f"s3://objects/{key}", target)
    return only_file(target)


def leave_part(server: S3Server, target: Path, content: bytes) -> None:
    """Leave what a broken download would."""
    target.parent.mkdir()
    target.with_name(f".{target.name}.part").write_bytes(content)
    tag = client_of(server).head_object(Bucket="objects", Key="some/a.bin")["ETag"]
    target.with_name(f".{target.name}.version").write_text(tag)


def test_fetch_s3_writes_the_whole_file(server: S3Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path / "got" / "a.bin") == CONTENT


@pytest.mark.parametrize("name", NAMES)
def test_key_of_any_letters_is_taken_as_it_is(server: S3Server, tmp_path: Path, name: str) -> None:
    client_of(server).put_object(Bucket="objects", Key=f"odd/{name}", Body=name.encode())
    assert fetch(server, tmp_path / "got" / "a.bin", f"odd/{name}") == name.encode()


def test_empty_object_is_an_empty_file(server: S3Server, tmp_path: Path) -> None:
    client_of(server).put_object(Bucket="objects", Key="empty", Body=b"")
    assert fetch(server, tmp_path / "got" / "a.bin", "empty") == b""


def test_object_of_several_parts_continues_where_it_broke(server: S3Server, tmp_path: Path) -> None:
    client = client_of(server)
    where = {"Bucket": "objects", "Key": "parts"}
    upload = client.create_multipart_upload(**where)["UploadId"]
    bodies = [CONTENT * 6, CONTENT]
    tags = [
        client.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate(bodies, start=1)
    ]
    parts = [{"ETag": tag, "PartNumber": number} for number, tag in enumerate(tags, start=1)]
    client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    server.answers = [Answer(), Answer(cut=2_000_000)]
    assert fetch(server, tmp_path / "got" / "a.bin", "parts", attempts=2) == CONTENT * 7
    assert server.ranges[-1] is not None


def test_fetch_s3_continues_an_unfinished_part(server: S3Server, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    marked = b"?" * 1000  # shows that these bytes were kept rather than fetched again
    leave_part(server, target, marked)
    assert fetch(server, target) == marked + CONTENT[1000:]


def test_part_whose_checksum_is_that_of_the_whole_is_started_over(server: S3Server, tmp_path: Path) -> None:
    target = tmp_path / "got" / "a.bin"
    leave_part(server, target, CONTENT[:1000])
    server.answers = [Answer(), Answer(headers=(("x-amz-checksum-crc32", "AAAAAA=="),))]
    assert fetch(server, target, attempts=1) == CONTENT
    assert server.ranges[-1] is None


def test_object_whose_checksum_never_fits_is_given_up(server: S3Server, tmp_path: Path) -> None:
    server.answers = [Answer(), Answer(headers=(("x-amz-checksum-crc32", "AAAAAA=="),))] * 2
    with pytest.raises(OSError, match=r"a\.bin: Expected checksum AAAAAA== did not match .*tried 2 times"):
        fetch(server, tmp_path / "got" / "a.bin", attempts=2)
    assert not list((tmp_path / "got").iterdir())


def test_line_that_breaks_within_the_body_is_taken_up_there(server: S3Server, tmp_path: Path) -> None:
    server.answers = [Answer(), Answer(cut=300_000)]
    assert fetch(server, tmp_path / "got" / "a.bin", attempts=2) == CONTENT
    assert server.ranges[-1] == "bytes=300000-"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(400, "ExpiredToken"), r"\(ExpiredToken\): the credentials have expired; renew them"),
        (Answer(403, "RequestTimeTooSkewed"), "the clock of this machine differs from the server's; set it"),
        (Answer(403, "InvalidAccessKeyId"), "check AWS_ACCESS_KEY_ID"),
        (Answer(403, "AccessDenied"), "these credentials may not read it"),
        (Answer(403, "InvalidObjectState"), "it is archived; restore it first"),
    ],
)
def test_refusal_names_the_cause_and_the_remedy(
    server: S3Server, tmp_path: Path, answer: Answer, sentence: str
) -> None:
    server.answers = [
        answer
    ] * 3  # botocore asks for the region between the two questions where the first ends with 400
    with pytest.raises(PermissionError, match=rf"s3://objects/some/a\.bin: .*{sentence}"):
        fetch(server, tmp_path / "got" / "a.bin")
    assert server.requests[-1] == "GET /objects/some/a.bin"


def test_bucket_of_another_region_is_named(server: S3Server, tmp_path: Path) -> None:
    moved = Answer(301, "PermanentRedirect", headers=(("x-amz-bucket-region", "eu-west-3"),))
    server.answers = [moved] * 8
    with pytest.raises(OSError, match=r"lies in another region, eu-west-3; set AWS_DEFAULT_REGION"):
        fetch(server, tmp_path / "got" / "a.bin")


def test_bucket_that_is_not_there_is_no_missing_object(server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="there is no bucket 'objecst'") as caught:
        make_store(s3_endpoint_url=server.url).fetch("s3://objecst/some/a.bin", tmp_path / "a.bin")
    assert not isinstance(caught.value, FileNotFoundError)


@pytest.mark.slow(seconds=2)
def test_busy_server_is_asked_again_when_it_says(server: S3Server, tmp_path: Path) -> None:
    server.answers = [Answer(503, "SlowDown", headers=(("Retry-After", "1"),)), Answer(503, "SlowDown")]
    assert fetch(server, tmp_path / "got" / "a.bin", attempts=2) == CONTENT


def test_server_that_stays_busy_is_no_fault_of_the_object(server: S3Server, tmp_path: Path) -> None:
    server.answers = [Answer(503, "SlowDown")] * 2
    with pytest.raises(ConnectionError, match=r"503.*tried 2 times"):
        fetch(server, tmp_path / "got" / "a.bin", attempts=2)


def test_fetch_s3_missing_key_raises_filenotfound(server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"s3://objects/other: .*404"):
        fetch(server, tmp_path / "a.bin", "other")


def test_fetch_s3_without_server_raises_connectionerror(server: S3Server, tmp_path: Path) -> None:  # noqa: ARG001
    with pytest.raises(ConnectionError, match="tried 2 times"):
        make_store(s3_endpoint_url="http://127.0.0.1:9", attempts=2).fetch("s3://objects/a.bin", tmp_path / "a.bin")


def test_fetch_s3_without_credentials_says_so(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(PermissionError, match="no credentials for S3 were found; check AWS_ACCESS_KEY_ID"):
        fetch(server, tmp_path / "a.bin")
