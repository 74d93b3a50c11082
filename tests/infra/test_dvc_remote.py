"""Versions of results in the bucket through which files travel: what one checkout pushes, another pulls."""

import subprocess
import sys
from pathlib import Path

import pytest

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
def test_other_checkout_pulls_what_one_has_pushed_and_runs_nothing(s3: S3Server, tmp_path: Path) -> None:
    s3.client().create_bucket(Bucket=BUCKET)
    first = copy_repo(tmp_path / "first", made=True)
    blob = BlobStore(f"s3://{BUCKET}/travel", s3.url, attempts=1).put(first / "source.txt")
    dvc(first, "remote", "add", "--default", "store", f"s3://{BUCKET}/dvc")
    dvc(first, "remote", "modify", "store", "endpointurl", s3.url)
    git(first, "add", ".")
    git(first, "commit", "-qm", "made")
    dvc(first, "push")
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
