"""Files by their content: in a folder, and in a bucket whose server is damaged, away or killed."""

import errno
import hashlib
import pickle
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from boto3.s3.transfer import TransferConfig

from infra.storage import s3_uploads
from infra.storage.blob_store import BlobStore
from tests.infra.s3 import Answer, S3Server
from tests.small_disk import small_disk

CONTENT = bytes(range(256)) * 4096
BUCKET = "between"
ABSENT = "http://127.0.0.1:9"


@pytest.fixture
def bucket(s3: S3Server) -> BlobStore:
    for row in s3.client().list_buckets()["Buckets"]:  # of the test before: moto's server remembers
        for item in s3.client().list_objects_v2(Bucket=row["Name"]).get("Contents", []):
            s3.client().delete_object(Bucket=row["Name"], Key=item["Key"])
        for item in s3.client().list_multipart_uploads(Bucket=row["Name"]).get("Uploads", []):
            s3.client().abort_multipart_upload(Bucket=row["Name"], Key=item["Key"], UploadId=item["UploadId"])
    s3.client().create_bucket(Bucket=BUCKET)
    s3.requests.clear()
    return BlobStore(f"s3://{BUCKET}/prefix", s3.url, attempts=3)


@pytest.fixture(params=["path", "file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "s3":
        made: BlobStore = request.getfixturevalue("bucket")
        return made
    folder = tmp_path / "shared disk"
    return BlobStore(folder.as_uri() if request.param == "file" else str(folder), None, attempts=1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(CONTENT)
    return path


def test_file_comes_back_by_its_content(store: BlobStore, source: Path, tmp_path: Path) -> None:
    store.check()
    blob = store.put(source)
    assert (blob.sha256, blob.size) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    pickle.loads(pickle.dumps(store)).get(blob, tmp_path / "got" / "a.bin")
    assert [path.read_bytes() for path in (tmp_path / "got").iterdir()] == [CONTENT]


def test_empty_file_comes_back(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    store.get(store.put(tmp_path / "empty"), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b""


def test_deleted_file_is_not_there_and_says_what_brings_it_back(store: BlobStore, source: Path, tmp_path: Path) -> None:
    blob = store.put(source)
    store.delete(blob)
    store.delete(blob)
    with pytest.raises(FileNotFoundError, match="the same command puts it there again"):
        store.get(blob, tmp_path / "got")


def test_file_that_is_there_is_not_put_again(s3: S3Server, bucket: BlobStore, source: Path) -> None:
    bucket.put(source)
    s3.requests.clear()
    bucket.put(source)
    assert [request.split()[0] for request in s3.requests] == ["HEAD"]


def test_damaged_file_is_refused_and_removed_so_that_it_is_put_again(
    s3: S3Server, bucket: BlobStore, source: Path, tmp_path: Path
) -> None:
    blob = bucket.put(source)
    s3.client().put_object(Bucket=BUCKET, Key=f"prefix/{blob.key}", Body=b"x" + CONTENT[1:])
    with pytest.raises(OSError, match=rf"s3://{BUCKET}/prefix/blobs/.* was damaged and has been removed"):
        bucket.get(blob, tmp_path / "got" / "a.bin")
    assert not list((tmp_path / "got").iterdir())
    bucket.get(bucket.put(source), tmp_path / "got" / "a.bin")
    assert (tmp_path / "got" / "a.bin").read_bytes() == CONTENT


def test_file_that_changes_while_it_is_put_is_refused(
    s3: S3Server, bucket: BlobStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = s3_uploads.S3Uploads.put

    def put_late(self: s3_uploads.S3Uploads, path: Path, key: str) -> None:
        path.write_bytes(b"something else")
        put(self, path, key)

    monkeypatch.setattr(s3_uploads.S3Uploads, "put", put_late)
    with pytest.raises(OSError, match=r"source\.bin has changed while it was put into s3://between/prefix; run the"):
        bucket.put(source)
    assert "Contents" not in s3.client().list_objects_v2(Bucket=BUCKET)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is uploaded in parts."""
    parts = TransferConfig(multipart_threshold=6 << 20, multipart_chunksize=6 << 20, max_concurrency=1)
    monkeypatch.setattr(s3_uploads, "TRANSFER", parts)
    path = tmp_path / "large.bin"
    path.write_bytes(CONTENT * 12)
    return path


def test_file_in_parts_that_breaks_leaves_no_parts(
    s3: S3Server, bucket: BlobStore, large: Path, tmp_path: Path
) -> None:
    s3.answers = [Answer(404, "NotFound"), Answer(), Answer(), Answer(403, "AccessDenied")]
    with pytest.raises(PermissionError, match="s3://between/prefix: the server does not allow it"):
        bucket.put(large)
    assert "Uploads" not in s3.client().list_multipart_uploads(Bucket=BUCKET)
    bucket.get(bucket.put(large), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT * 12


@pytest.mark.slow(seconds=3)
def test_file_in_parts_whose_upload_the_server_has_lost_is_sent_again(
    s3: S3Server, bucket: BlobStore, large: Path, tmp_path: Path
) -> None:
    s3.answers = [Answer(404, "NotFound"), Answer(), Answer(), Answer(404, "NoSuchUpload")]
    bucket.get(bucket.put(large), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT * 12


def test_check_removes_the_parts_that_a_killed_process_left_a_day_ago(
    s3: S3Server, bucket: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = s3.client()
    for key in ("prefix/blobs/ours", "another/blobs/theirs"):
        client.create_multipart_upload(Bucket=BUCKET, Key=key)  # moto says that all began in 2010
    with monkeypatch.context() as patch:
        patch.setattr(s3_uploads, "STALE", datetime.now(UTC) - datetime(2000, 1, 1, tzinfo=UTC))
        bucket.check()
        assert len(client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]) == 2
    bucket.check()
    assert [row["Key"] for row in client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == ["another/blobs/theirs"]


@pytest.mark.usefixtures("s3_credentials")
@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize("act", ["put", "get"])
def test_server_that_is_killed_and_started_again_is_waited_for(
    act: str,
    source: Path,
    tmp_path: Path,
) -> None:
    with S3Server() as first:
        first.client().create_bucket(Bucket=BUCKET)
        store = BlobStore(f"s3://{BUCKET}/{act}", first.url, attempts=6)
        blob = store.put(source) if act == "get" else None
    ended = threading.Event()

    def do() -> None:
        if blob is not None:
            store.get(blob, tmp_path / "got")
        else:
            store.put(source)
        ended.set()

    thread = threading.Thread(target=do)
    thread.start()
    time.sleep(1.5)
    assert not ended.is_set()
    with S3Server(urlsplit(first.url).port or 0):
        thread.join(timeout=60)
        assert ended.is_set()
        store.get(store.put(source), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == CONTENT


@pytest.mark.usefixtures("s3_credentials")
@pytest.mark.parametrize(
    "ask", [lambda store, _: store.check(), lambda store, path: store.put(path)], ids=["check", "put"]
)
def test_server_that_is_not_there_is_named(
    ask: Callable[[BlobStore, Path], object],
    source: Path,
) -> None:
    with pytest.raises(ConnectionError, match=r"^s3://between/prefix: .*refused.*\(tried 1 times\)$"):
        ask(BlobStore("s3://between/prefix", ABSENT, attempts=1), source)


def test_bucket_that_is_not_there_is_named(s3: S3Server) -> None:
    with pytest.raises(OSError, match="there is no bucket 'absent'; check its name and s3_endpoint in the profile"):
        BlobStore("s3://absent/prefix", s3.url, attempts=1).check()


def test_address_that_cannot_be_written_to_is_refused() -> None:
    with pytest.raises(ValueError, match="store_url is 'https://host/x', which cannot be written to; use s3://"):
        BlobStore("https://host/x", None, attempts=1)


def test_full_disk_keeps_nothing(bucket: BlobStore, source: Path, tmp_path: Path) -> None:
    blob = bucket.put(source)
    with small_disk(tmp_path / "disk") as resize:
        resize(64)
        with pytest.raises(OSError, match="No space left") as caught:
            bucket.get(blob, tmp_path / "disk" / "a.bin")
        assert caught.value.errno == errno.ENOSPC
        assert not list((tmp_path / "disk").iterdir())
