"""Questions to a web server that is well, refuses, is ill or is not there."""

import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.health import mlflow_error, request_error
from tests.infra.server import Fault, WebServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "health").write_text("OK")
    with WebServer(tmp_path) as web:
        yield web


def test_page_that_comes_is_no_error(server: WebServer) -> None:
    assert request_error(f"{server.url}/health") is None
    assert mlflow_error(f"{server.url}/") is None
    assert server.requests == ["health", "health"]


@pytest.mark.parametrize(("status", "is_usable"), [(401, True), (404, True), (500, False), (503, False)])
def test_answer_without_success_is_an_error_unless_mlflow_may_only_want_a_token(
    server: WebServer, status: int, is_usable: bool
) -> None:
    server.faults["health"] = [Fault(status=status), Fault(status=status)]
    error = request_error(f"{server.url}/health")
    assert isinstance(error, urllib.error.HTTPError)
    assert error.code == status
    assert (mlflow_error(server.url) is None) == is_usable


def test_server_that_hangs_up_or_says_nothing_is_an_error(server: WebServer) -> None:
    server.faults["health"] = [Fault(hang=True)]
    assert "timed out" in str(request_error(f"{server.url}/health", timeout=0.5))
    assert "unknown url type" in str(request_error("nowhere://x/health"))
