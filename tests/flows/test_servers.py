"""`python -m flows serve` before it has a server; what it does with one is in tests/e2e/test_prefect.py."""

from pathlib import Path

import psutil
import pytest

from flows import servers
from tests.infra.loopback import free_port


def test_worker_alone_starts_no_server_where_none_answers_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "START_SECONDS", 0.2)
    api = f"http://127.0.0.1:{free_port()}/api"
    said: list[str] = []
    before = psutil.Process().children(recursive=True)
    with pytest.raises(
        RuntimeError, match=f"no Prefect server answers at {api} after 0 s .*; start it, set .* or leave"
    ):
        servers.serve(tmp_path, api, said.append, starts_server=False)
    assert said == [f"waiting for the Prefect server at {api} ..."]
    assert psutil.Process().children(recursive=True) == before
    assert list(tmp_path.iterdir()) == []
