"""Buckets of the store that the environment names, and the question whether a server is well."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.setup.buckets import make_buckets
from tests.infra.postgres import free_port
from tests.infra.s3 import Answer, S3Server
from tests.infra.server import WebServer
from tests.project_copy import ROOT


@pytest.fixture(autouse=True)
def _store(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def test_buckets_are_made_once_and_left_alone_after_that(s3: S3Server) -> None:
    make_buckets(["mlflow-test", "dvc-test"])
    s3.client().put_object(Bucket="dvc-test", Key="kept", Body=b"content")
    s3.answers = [Answer(), Answer(409, "BucketAlreadyOwnedByYou")]
    make_buckets(["mlflow-test", "dvc-test"])
    assert s3.client().get_object(Bucket="dvc-test", Key="kept")["Body"].read() == b"content"


def test_bucket_that_is_refused_is_named_with_the_answer_and_what_to_check(s3: S3Server) -> None:
    s3.answers = [Answer(403, "AccessDenied")]
    with pytest.raises(RuntimeError, match=r"bucket mvdpp cannot be made: .*AccessDenied.*check AWS_ENDPOINT_URL_S3"):
        make_buckets(["mvdpp"])


def test_bucket_of_a_store_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    with pytest.raises(RuntimeError, match=rf"bucket mvdpp cannot be made: .*{address}"):
        make_buckets(["mvdpp"])


def test_health_command_ends_with_0_for_a_page_that_comes_and_1_with_the_reason_otherwise(tmp_path: Path) -> None:
    (tmp_path / "health").write_text("OK")
    with WebServer(tmp_path) as web:
        codes = {}
        for page in ("health", "ready"):
            words = [sys.executable, "-m", "infra.health", f"{web.url}/{page}"]
            codes[page] = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert codes["health"].returncode == 0
    assert codes["ready"].returncode == 1
    assert "HTTP Error 404" in codes["ready"].stderr
