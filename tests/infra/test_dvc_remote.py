"""Versions of results in the bucket through which files travel: what one checkout pushes, another pulls."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.__main__ import main
from infra.dvc_remote import DvcRemote
from infra.storage.blob_store import BlobStore
from tests.infra.s3 import S3Server
from tests.tiny_repo import copy_repo, repro, runs

BUCKET = "remote"


def dvc(root: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=root, check=False, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def git(root: Path, *words: str) -> None:
    settings = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *settings, *words], cwd=root, check=True, capture_output=True, timeout=600)


def keys(s3: S3Server) -> set[str]:
    return {item["Key"] for item in s3.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])}


@pytest.mark.slow(seconds=20)
def test_other_checkout_pulls_what_one_has_pushed_and_runs_nothing(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    s3.client().create_bucket(Bucket=BUCKET)
    first = copy_repo(tmp_path / "first", made=True)
    blob = BlobStore(f"s3://{BUCKET}/travel", s3.url, attempts=1).put(first / "source.txt")
    dvc(first, "remote", "add", "--default", "store", f"s3://{BUCKET}/dvc")
    dvc(first, "remote", "modify", "store", "endpointurl", s3.url)
    git(first, "add", ".")
    git(first, "commit", "-qm", "made")
    monkeypatch.chdir(first)
    assert main(["push"]) == 0
    assert f"s3://{BUCKET}/dvc has all 3 files that its 3 lists of folders name" in capfd.readouterr().out
    _lose_a_file_and_mend_it(first, s3)
    second = tmp_path / "second"
    git(tmp_path, "clone", "-q", str(first), str(second))
    (second / "ran.log").touch()
    dvc(second, "pull")
    assert (second / "data/third/result.txt").read_text() == (first / "data/third/result.txt").read_text()
    repro(second)
    assert runs(second) == []
    dvc(second, "gc", "--workspace", "--cloud", "--force")
    assert f"travel/{blob.key}" in keys(s3), "DVC leaves alone what travels"
    assert any(key.startswith("dvc/") for key in keys(s3))


def _lose_a_file_and_mend_it(root: Path, s3: S3Server) -> None:
    """As after a push that was broken off; the bucket is listed once, and lists are read from the cache."""
    before = keys(s3)
    lost = min(key for key in before if key.startswith("dvc/") and not key.endswith(".dir"))
    s3.client().delete_object(Bucket=BUCKET, Key=lost)
    remote = DvcRemote(root)
    s3.requests.clear()
    check = remote.check()
    assert check.num_missing == 1
    assert len(s3.requests) == 1
    assert remote.mend(check.missing) == {}
    assert keys(s3) == before
