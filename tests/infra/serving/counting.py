"""A service without networks: its model counts, and its application answers what comes of it."""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.serving.ray_serve import RayWorkers


@dataclass(frozen=True)
class Counter:
    """A model that counts to a number, and dies on the way where it is told to."""

    def facts(self) -> Mapping[str, object]:
        return {"counts": True}

    def sample(self, to: int, dies_once: str) -> Iterator[int | str]:
        if to < 0:
            raise ValueError(f"{to} is below 0")
        for number in range(to):
            yield number
            if dies_once and not Path(dies_once).exists():
                Path(dies_once).touch()
                os._exit(1)
        yield f"process {os.getpid()}"


def finish(path: str) -> None:
    """Leave a file, or fail as a full disk does."""
    if not path:
        raise OSError(28, "No space left on device")
    Path(path).write_text("finished")


class Application:
    """Answers /count?TO,FILE,PATH with what came of counting, a line each."""

    def __init__(self, stopped: Path, workers: RayWorkers, facts: Mapping[str, Any]) -> None:
        self._stopped, self._workers, self._facts = stopped, workers, facts
        self._is_started = False

    def start(self) -> None:
        self._is_started = True
        assert asyncio.get_running_loop()

    async def stop(self, seconds: float) -> None:
        self._stopped.write_text(f"{seconds:g}")

    async def app(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        del receive
        to, dies, path = scope["query_string"].decode().split(",")
        told: list[Any] = [self._facts, self._is_started]
        try:
            told.extend([news async for news in self._workers.sample(int(to), dies)])
            await self._workers.finish(path)
        except (ConnectionError, OSError, ValueError) as error:
            told.append(f"{type(error).__name__}: {error}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})
