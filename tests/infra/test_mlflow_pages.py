"""Links to an MLflow server that is away, or does not know the run, are left out.

tests/e2e/test_services.py follows those of a real one.
"""

from pathlib import Path

from infra.mlflow_pages import MlflowPages
from tests.infra.postgres import free_port
from tests.infra.server import Fault, WebServer


def test_pages_of_a_server_that_is_away_are_none() -> None:
    pages = MlflowPages(f"http://127.0.0.1:{free_port()}")
    assert (pages.run("abc"), pages.image("abc")) == (None, None)


def test_pages_of_an_unknown_run_or_of_something_else_than_mlflow_are_none(tmp_path: Path) -> None:
    with WebServer(tmp_path) as web:
        pages = MlflowPages(web.url)
        assert pages.run("abc") is None
        web.faults["api/2.0/mlflow/artifacts/list?run_id=abc&path=images"] = [Fault(content=b"<html>no JSON</html>")]
        assert pages.image("abc") is None
    assert web.requests == [
        "api/2.0/mlflow/runs/get?run_id=abc",
        "api/2.0/mlflow/artifacts/list?run_id=abc&path=images",
    ]
