"""What the headers of an answer say of further requests, and how the gate heeds it beside a server that counts."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from infra.storage.gate import Gate
from infra.storage.rate_limit import Allowance, allowances, seconds_to_wait
from tests.infra.server import Fault, Quota, WebServer
from tests.infra.storage.test_store import make_store


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    for index in range(40):
        (folder / f"{index}.bin").write_bytes(b"%d" % index)
    with WebServer(folder) as web:
        yield web


def fetch_all(server: WebServer, folder: Path, num_files: int, threads: int = 16, **settings: int) -> None:
    store = make_store(attempts=1, **settings)

    def fetch(index: int) -> None:
        store.fetch(f"{server.url}/{index}.bin", folder / f"{index}.bin")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fetch, range(num_files)))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"resolvers";r=0;t=55'}, 56),
        ({"RateLimit": '"api";r=0;t=20,"resolvers";r=12;t=55'}, 21),
        ({"RateLimit": "limit=3000, remaining=0, reset=55"}, 56),
        ({"RateLimit": '"resolvers";t=7'}, 8),
        ({"Retry-After": "9", "RateLimit": '"resolvers";r=0;t=55'}, 56),
        ({"Retry-After": "Sat, 28 Nov 2026 10:00:30 GMT", "Date": "Sat, 28 Nov 2026 10:00:00 GMT"}, 31),
        ({"Retry-After": "Sat, 28 Nov 2026 10:00:30 GMT"}, 0),
        ({"Retry-After": "soon", "RateLimit": "nonsense"}, 0),
        ({}, 0),
    ],
)
def test_refusal_is_read_as_seconds_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert seconds_to_wait(headers, is_refused=True) == seconds


def test_answer_with_something_left_asks_for_no_pause() -> None:
    assert seconds_to_wait({"RateLimit": '"resolvers";r=2900;t=55', "Retry-After": "9"}, is_refused=False) == 0


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (
            {"RateLimit": '"api";r=7;t=55', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'},
            [Allowance(7, 55, 500)],
        ),
        (
            {"RateLimit": '"a";r=1;t=2, "b";r=3;t=4', "RateLimit-Policy": '"b";q=5;w=60, "a";q=6;w=60'},
            [Allowance(1, 2, 6), Allowance(3, 4, 5)],
        ),
        ({"RateLimit": '"default";r=7', "RateLimit-Policy": '"default";q=500;w=300'}, [Allowance(7, 300, 500)]),
        ({"RateLimit": "limit=100, remaining=7, reset=55"}, [Allowance(7, 55, 100)]),
        (
            {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "7", "RateLimit-Reset": "55"},
            [Allowance(7, 55, 100)],
        ),
        ({"RateLimit-Remaining": "7", "RateLimit-Reset": "55"}, [Allowance(7, 55)]),
        ({"RateLimit-Remaining": "7"}, []),
        ({"RateLimit": '"api";r=7'}, []),
        ({}, []),
    ],
)
def test_allowances_are_read_from_every_version_of_the_draft(headers: dict[str, str], found: list[Allowance]) -> None:
    assert allowances(headers) == found


def test_requests_are_spread_only_when_half_of_the_quota_is_used() -> None:
    assert Allowance(60, 30.0, quota=100).spacing(others=0) == 0.0
    assert Allowance(50, 30.0, quota=100).spacing(others=0) == pytest.approx(0.6)
    assert Allowance(50, 30.0, quota=100).spacing(others=20) == pytest.approx(1.0)
    assert Allowance(50, 30.0).spacing(others=60) == pytest.approx(30.0)


@pytest.mark.slow(seconds=8)
def test_server_that_counts_never_has_to_refuse(server: WebServer, tmp_path: Path) -> None:
    server.quota = Quota(20, 3.0)
    fetch_all(server, tmp_path / "got", 40, threads=4)
    assert server.quota.refused == 0
    assert len(server.requests) == 40


@pytest.mark.slow(seconds=3)
def test_rest_of_an_allowance_is_spread_over_its_window(server: WebServer, tmp_path: Path) -> None:
    for index in range(5):
        server.headers[f"{index}.bin"] = {"RateLimit": f'"api";r={10 - index};t=2'}
    fetch_all(server, tmp_path / "got", 5, threads=1)
    waits = [later - sooner for sooner, later in pairwise(server.times)]
    assert min(waits[1:]) > 0.15
    assert sum(waits) < 2.0


def test_connections_to_one_server_are_limited(server: WebServer, tmp_path: Path) -> None:
    for index in range(8):
        server.faults[f"{index}.bin"] = [Fault(hang=True)]
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(fetch_all, server, tmp_path / "got", 8, connections=3)
        while len(server.requests) < 3:
            time.sleep(0.01)
        time.sleep(0.3)
        assert len(server.requests) == 3
        server.closing.set()
        with pytest.raises(ConnectionError):
            fetching.result()


@pytest.mark.slow(seconds=2)
def test_refusals_that_were_under_way_together_double_the_backoff_once() -> None:
    gate = Gate(backoff=0.2)
    asked_at = gate.wait("a")
    for pause in (0.2, 0.4, 0.8):
        for _ in range(8):
            gate.heed("a", {}, is_refused=True, asked_at=asked_at)
        before, asked_at = asked_at, gate.wait("a")
        assert pause <= asked_at - before < 10.0
    gate.accept("a")
    gate.heed("a", {}, is_refused=True, asked_at=asked_at)
    assert 0.2 <= gate.wait("a") - asked_at < 1.6


def test_backoff_of_one_server_does_not_hold_another() -> None:
    gate = Gate(backoff=30.0)
    gate.heed("a", {}, is_refused=True, asked_at=gate.wait("a"))
    start = time.monotonic()
    gate.wait("b")
    assert time.monotonic() - start < 10.0


def test_pause_of_more_than_an_hour_holds_no_other_thread(server: WebServer, tmp_path: Path) -> None:
    """A thread that waited would wait for two hours: the stage could not end before it."""
    server.faults["0.bin"] = [Fault(status=429, headers=(("Retry-After", "7200"),))]
    store = make_store()
    for index in range(2):
        with pytest.raises(ConnectionError, match=r"asks to wait 720\d s; run it again then"):
            store.fetch(f"{server.url}/{index}.bin", tmp_path / "got" / f"{index}.bin")
    assert server.requests == ["0.bin"]
