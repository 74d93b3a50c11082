"""Ray Serve with a model that counts: news stream, a process dies, a stop arrives, nothing is left."""

import json
import socket
import time
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.serving.ray_serve import Serving, served
from tests.infra.loopback import free_port
from tests.infra.serving.counting import Application, Counter, finish


@pytest.mark.slow(seconds=25)
def test_service_streams_news_outlives_its_workers_and_leaves_nothing(tmp_path: Path) -> None:
    port = free_port()
    serving = Serving(
        load=Counter,
        finish=finish,
        build=partial(Application, tmp_path / "stopped"),
        host="127.0.0.1",
        port=port,
        replicas=1,
        finishers=1,
        gpus=0,
    )
    with served(serving) as service:

        def ask(to: int, dies: str = "", path: str = str(tmp_path / "done")) -> list[Any]:
            with urllib.request.urlopen(f"{service.address}/count?{to},{dies},{path}", timeout=300) as answer:
                return list(json.load(answer))

        facts, is_started, *news = ask(3)
        assert (facts, is_started, news[:3]) == ({"counts": True}, True, [0, 1, 2])
        assert (tmp_path / "done").read_text() == "finished"
        assert ask(-1)[2:] == ["ValueError: -1 is below 0"]
        assert ask(1, path="")[-1].endswith("No space left on device")
        assert ask(3, dies=str(tmp_path / "died"))[-1] == "ConnectionError: its process is gone"
        deadline = time.monotonic() + 240
        while (last := ask(2)[-1]) == "ConnectionError: its process is gone":
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert last.startswith("process ")
        assert last != news[-1]
        service.stop(7)
        assert (tmp_path / "stopped").read_text() == "7"
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", port)) != 0


def test_service_on_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        serving = Serving(Counter, finish, partial(Application, tmp_path), "127.0.0.1", port, 1, 1, 0)
        with pytest.raises(ValueError, match=f"port {port} of 127.0.0.1 cannot be had"), served(serving):
            pass
