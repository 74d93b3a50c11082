"""Serves an application over HTTP by Ray Serve, with worker processes for a model and for what follows it.

What the application and the workers do is handed in: this module knows processes, addresses and how they end.
"""

import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from ray import serve
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError
from ray.serve.config import HTTPOptions
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig

from infra.execution.ray_connection import RayConnection

GATEWAY, SAMPLER, FINISHER = "gateway", "sampler", "finisher"
APPLICATION = "views"
LOST = (RayActorError, ActorDiedError, ActorUnavailableError)
QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)
START_SECONDS = 600.0
# whose annotations are incomplete
deployment: Any = serve.deployment
stop_serve: Callable[[], None] = serve.shutdown


class Loaded(Protocol):
    """A model in a worker process."""

    def facts(self) -> Mapping[str, object]:
        """What clients want to know of it."""
        ...

    def sample(self, *arguments: Any) -> Iterator[Any]:
        """Compute; yields news, at last the result."""
        ...


class Stoppable(Protocol):
    """An application that computes on an event loop of its own and is stopped gracefully."""

    @property
    def app(self) -> Any:
        """The ASGI application."""
        ...

    def start(self) -> None:
        """Begin; called in the event loop."""
        ...

    async def stop(self, seconds: float) -> None:
        """End what is under way."""
        ...


@dataclass(frozen=True)
class Serving:
    """What is served and with how many processes. The functions must pickle."""

    load: Callable[[], Loaded]
    """Loads the model, in each of its processes."""
    finish: Callable[..., None]
    """What is done with a result of the model."""
    build: Callable[["RayWorkers", Mapping[str, Any]], Stoppable]
    """Makes the application of the workers and the model's facts."""
    host: str
    port: int
    replicas: int
    finishers: int
    gpus: float
    """Graphics cards of each process with a model."""


class _Late:
    """An ASGI application that is made in the process that serves it."""

    app: ClassVar[Callable[..., Any] | None] = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        if _Late.app is None:
            await send({"type": "http.response.start", "status": 503, "headers": [(b"retry-after", b"5")]})
            await send({"type": "http.response.body", "body": b"the service is starting\n"})
            return
        await _Late.app(scope, receive, send)


class _Sampler:
    """The deployment of a model."""

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._model = load()

    def facts(self) -> Mapping[str, object]:
        return self._model.facts()

    def sample(self, *arguments: Any) -> Iterator[Any]:
        yield from self._model.sample(*arguments)

    def pid(self) -> int:
        return os.getpid()


class _Finisher:
    """The deployment of what follows the model."""

    def __init__(self, finish: Callable[..., None]) -> None:
        self._finish = finish

    def run(self, *arguments: Any) -> None:
        self._finish(*arguments)


class RayWorkers:
    """The workers as the application sees them.

    Its methods raise ConnectionError where a process dies, and what the work itself raises.
    """

    def __init__(self, sampler: DeploymentHandle, finisher: DeploymentHandle) -> None:
        """Reach the workers by their handles."""
        self._sampler, self._finisher = sampler, finisher

    async def sample(self, *arguments: Any) -> AsyncIterator[Any]:
        """Sample in the next process that is free; yields its news, at last its result."""
        try:
            streamed: Any = self._sampler.options(stream=True).sample.remote(*arguments)
            async for news in streamed:
                yield news
        except (*LOST, RayTaskError) as error:
            raise _plain(error) from error

    async def finish(self, *arguments: Any) -> None:
        """Do what follows in the next process that is free."""
        try:
            await self._finisher.run.remote(*arguments)
        except (*LOST, RayTaskError) as error:
            raise _plain(error) from error


class _Gateway:
    """The deployment that answers HTTP requests."""

    def __init__(
        self,
        sampler: DeploymentHandle,
        finisher: DeploymentHandle,
        build: Callable[[RayWorkers, Mapping[str, Any]], Stoppable],
    ) -> None:
        self._sampler, self._finisher, self._build = sampler, finisher, build
        self._served: Stoppable | None = None

    async def start(self) -> None:
        facts = await self._sampler.facts.remote()
        self._served = self._build(RayWorkers(self._sampler, self._finisher), facts)
        _Late.app = self._served.app
        self._served.start()

    async def stop(self, seconds: float) -> None:
        if self._served is not None:
            await self._served.stop(seconds)


@dataclass(frozen=True)
class Service:
    """A service that runs."""

    address: str
    gateway: DeploymentHandle
    sampler: DeploymentHandle

    def stop(self, seconds: float) -> None:
        """Take no more requests and give those under way some seconds to end."""
        self.gateway.stop.remote(seconds).result(timeout_s=seconds + 30)


@contextmanager
def served(serving: Serving) -> Iterator[Service]:
    """Serve while this is open, by a private Ray. Every process is gone afterwards.

    Raises:
        ValueError: The port cannot be had.
        RuntimeError: A process does not start; the sentence says why.
    """
    _check_port(serving.host, serving.port)
    connection = RayConnection(None, 1)
    try:
        connection.open()
        yield _start(serving)
        stop_serve()
    finally:  # a service that is stopped while it starts may have no Serve any more that could answer
        connection.close()


def _start(serving: Serving) -> Service:
    serve.start(
        proxy_location="HeadOnly",
        http_options=HTTPOptions(host=serving.host, port=serving.port, location="HeadOnly"),
        logging_config=QUIET,
    )
    logging.getLogger("ray.serve").setLevel(
        logging.ERROR
    )  # it tells of every step, and of a busy machine as of a fault
    sampler = deployment(_Sampler).options(
        name=SAMPLER,
        num_replicas=serving.replicas,
        max_ongoing_requests=1,
        ray_actor_options={"num_cpus": 0, "num_gpus": serving.gpus},
        logging_config=QUIET,
    )
    finisher = deployment(_Finisher).options(
        name=FINISHER,
        num_replicas=serving.finishers,
        max_ongoing_requests=1,
        ray_actor_options={"num_cpus": 0},
        logging_config=QUIET,
    )
    gateway = deployment(serve.ingress(_Late())(_Gateway)).options(
        name=GATEWAY,
        num_replicas=1,
        max_ongoing_requests=1000,
        ray_actor_options={"num_cpus": 0},
        logging_config=QUIET,
    )
    application = gateway.bind(sampler.bind(serving.load), finisher.bind(serving.finish), serving.build)
    handle = serve.run(application, name=APPLICATION, route_prefix="/")
    handle.start.remote().result(timeout_s=START_SECONDS)
    sampler_handle = serve.get_deployment_handle(SAMPLER, APPLICATION)
    return Service(f"http://{serving.host}:{serving.port}", handle, sampler_handle)


def _check_port(host: str, port: int) -> None:
    """Raise ValueError where the port is in use: Ray's proxy would try for a minute and say it in its log."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise ValueError(
            f"port {port} of {host} cannot be had ({error.strerror or error}): give another one with --port"
        ) from error


def _plain(error: Exception) -> Exception:
    """Return what the work raised, or ConnectionError where its process died."""
    if isinstance(error, LOST):
        return ConnectionError("its process is gone")
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else RuntimeError(str(error).strip().splitlines()[-1])
