"""The service as one thing: its application, and the engine that is started and stopped with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from tasks.commands.service.api import ModelFacts, build_api
from tasks.commands.service.engine import Bounds, Engine, Workers
from tasks.commands.service.jobs import JobStore
from tasks.commands.service.options import ServiceOptions
from tasks.commands.uploads import UploadLimits


@dataclass(frozen=True)
class ViewService:
    """An application with the engine behind it."""

    app: FastAPI
    engine: Engine

    def start(self) -> None:
        """Begin to work on what is submitted; called in the event loop."""
        self.engine.start()

    async def stop(self, seconds: float) -> None:
        """Take no more requests and give those under way some seconds to end."""
        await self.engine.stop(seconds)


def build_service(options: ServiceOptions, folder: Path, workers: Workers, facts: Mapping[str, Any]) -> ViewService:
    """Return the service.

    Args:
        options: Of the command line.
        folder: Takes the photos of requests while they are read, and the results until they are deleted; is there.
        workers: They compute.
        facts: The fields of ModelFacts.
    """
    model = ModelFacts(**facts)
    standard = UploadLimits()
    limits = UploadLimits(min(standard.photos, model.max_photos), standard.megabytes, standard.megapixels)
    bounds = Bounds(options.batch, options.batch_wait, options.unfinished, options.replicas)
    engine = Engine(workers, JobStore(folder, options.keep_minutes * 60), bounds)
    return ViewService(build_api(engine, model, limits, options.host, folder), engine)
