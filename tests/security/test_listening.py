"""What listens for connections, and on which addresses: nothing is open to the network unless somebody says so."""

import ast
import time
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.execution.ray_pool import Limits, RayPool
from infra.execution.torchrun import TorchrunLauncher, local_environment, local_torchrun
from tasks.commands.browse.options import BrowseOptions
from tasks.commands.page.options import PageOptions
from tasks.commands.service.options import ServiceOptions
from tasks.outcome import Failed, Outcome
from tests.infra.execution.pool_jobs import Task, obey
from tests.project_copy import CODE, ROOT

LOOPBACK = ("127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1")
OPEN = "0.0.0.0"
BINDING = {
    "HTTPServer", "ThreadingHTTPServer", "TCPServer", "TCPStore", "ThreadingTCPServer", "WSGIServer", "bind",
    "create_server", "launch", "make_server", "run_simple", "start_server",
}  # fmt: skip
"""Names of functions and classes that listen, or hand on to what does."""
SERVERS = ({"server", "start"}, {"mlflow", "server"}, {"models", "serve"}, {"ray", "start"}, {"uvicorn"}, {"gunicorn"})
"""Words that begin a server's command."""
STARTED_BY_RAY = {"infra/execution/ray_connection.py"}
"""Files that start Ray; the tests below look at its ports."""
WHERE_ASKED = {"infra/serving/ray_serve.py", "tasks/commands/page/app.py", "tasks/commands/web_server.py"}
"""Files that listen where `--host` says; a test below looks at what it says by itself."""


def listening(process: psutil.Process) -> dict[str, list[str]]:
    """Addresses that a process and its descendants listen on, by what the process is."""
    found: dict[str, list[str]] = {}
    for member in (process, *process.children(recursive=True)):
        try:
            ports = [row for row in member.net_connections("inet") if row.status == psutil.CONN_LISTEN]
            found.setdefault(member.name(), []).extend(row.laddr.ip for row in ports)
        except psutil.NoSuchProcess:
            continue
    return {name: addresses for name, addresses in found.items() if addresses}


def open_to_the_network(process: psutil.Process) -> dict[str, list[str]]:
    found = {name: [at for at in rows if at not in LOOPBACK] for name, rows in listening(process).items()}
    return {name: rows for name, rows in found.items() if rows}


@pytest.mark.slow
def test_private_ray_listens_on_the_loopback_address_alone(tmp_path: Path) -> None:
    limits = Limits(time_limit=600, recycle_after=100, memory_limit_gb=8)
    with RayPool[Outcome](failed=Failed, workers=1, limits=limits, log_dir=tmp_path / "logs") as pool:
        assert list(pool.run(obey, [Task("do-0", tmp_path)]))
        seen = listening(psutil.Process())
        assert {"gcs_server", "raylet"} <= set(seen), "the ports of Ray are the ones to look at"
        assert not open_to_the_network(psutil.Process())


def meet_and_wait(folder: Path) -> None:
    """One rank of a training that has met the others, until the test has looked at its ports."""
    import torch

    from models.training.distributed import init_distributed

    with init_distributed(torch.device("cpu")) as ranks:
        ranks.barrier(torch.device("cpu"))
        (folder / f"met-{ranks.rank}").touch()
        while not (folder / "seen").exists():
            time.sleep(0.05)


def test_ranks_of_one_machine_are_told_to_keep_to_it() -> None:
    told = local_environment(2, Path("meeting"))
    assert told["GLOO_SOCKET_IFNAME"] == "lo"
    assert told["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] == "1"
    assert "--local-addr=localhost" in local_torchrun(2, Path("meeting"))


@pytest.mark.nightly
@pytest.mark.slow
def test_ranks_of_one_machine_listen_on_the_loopback_address_alone(tmp_path: Path) -> None:
    seen: list[dict[str, list[str]]] = []

    def look() -> None:
        if len(list(tmp_path.glob("met-*"))) == 2 and not (tmp_path / "seen").exists():
            seen.extend((listening(psutil.Process()), open_to_the_network(psutil.Process())))
            (tmp_path / "seen").touch()

    TorchrunLauncher(2).run(partial(meet_and_wait, tmp_path), tmp_path / "exchange_dir", watch=look, count=2)
    assert seen[0], "gloo's ports are the ones to look at"
    assert not seen[1]


def files() -> Iterator[tuple[str, ast.Module]]:
    for name in CODE:
        for path in sorted((ROOT / name).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def words_of(node: ast.AST) -> list[Any]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def faults(name: str, tree: ast.Module) -> Iterator[str]:
    """Places that listen, or start what does, without naming the loopback address."""
    for node in ast.walk(tree):
        place = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Constant) and node.value == OPEN:
            yield f"{place} names {node.value}"
        binds = isinstance(node, ast.Call) and called(node) in BINDING and not set(words_of(node)) & set(LOOPBACK)
        if isinstance(node, ast.Call) and binds and name not in WHERE_ASKED:
            yield f"{place} calls {called(node)} without naming 127.0.0.1"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ray.init":
            starts = "local" in words_of(node) or not node.args
            if starts and name not in STARTED_BY_RAY:
                yield f"{place} starts Ray, whose ports no test looks at"
        if isinstance(node, ast.Call | ast.List) and not isinstance(getattr(node, "func", None), ast.Attribute):
            words = words_of(node)
            is_server = any(start <= set(words) for start in SERVERS)
            if is_server and not set(words) & set(LOOPBACK):
                yield f"{place} starts a server without naming 127.0.0.1"


def test_whatever_listens_names_the_loopback_address() -> None:
    found = [fault for name, tree in files() for fault in faults(name, tree)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("options", [PageOptions, BrowseOptions, ServiceOptions])
def test_host_is_the_loopback_address_unless_another_is_asked_for(options: type) -> None:
    assert next(field.default for field in fields(options) if field.name == "host") == "127.0.0.1"


@pytest.mark.parametrize(
    "code",
    [
        "ThreadingHTTPServer(('', 8000), Handler)",
        "socket.bind((host, 80))",
        "demo.launch(server_port=7860)",
        "run([python, '-m', 'mlflow', 'server', '--port', '5000'])",
        "_words('server', 'start', '--port', port)",
        "HOST = '0.0.0.0'",
        "ray.init('local')",
    ],
)
def test_search_for_what_listens_finds_it(code: str) -> None:
    assert list(faults("tasks/new.py", ast.parse(code)))
