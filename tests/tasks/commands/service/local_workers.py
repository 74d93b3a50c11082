"""The service's workers in this process: the real model and the real finishing, in threads instead of by Ray."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tasks.commands.sampler import SampledViews, SampleSettings
from tasks.commands.service.jobs import Asked
from tasks.commands.service.model import LoadedModel, finish


class LocalWorkers:
    """A `tasks.commands.service.engine.Workers`.

    Args:
        model: Samples.
        gate: Sampling waits until it is set.
        deaths: How many of the next calls end as if the process had been killed.
        finishing: Does what follows.
    """

    def __init__(
        self, model: LoadedModel, *, deaths: int = 0, finishing: Callable[..., None] = finish, is_open: bool = True
    ) -> None:
        self._model, self._finishing = model, finishing
        self.deaths = deaths
        self.gate = threading.Event()
        if is_open:
            self.gate.set()
        self.batches: list[int] = []

    async def sample(
        self, objects: Sequence[Sequence[Image.Image]], settings: SampleSettings, seeds: Sequence[int]
    ) -> AsyncIterator[tuple[int, int] | list[SampledViews]]:
        self.batches.append(len(objects))
        await asyncio.to_thread(self.gate.wait)
        if self.deaths:
            self.deaths -= 1
            raise ConnectionError("its process is gone")
        news: Any = iter(self._model.sample(objects, settings, seeds))
        while (one := await asyncio.to_thread(next, news, None)) is not None:
            yield one

    async def finish(self, out: Path, photos: Sequence[Image.Image], sampled: SampledViews, asked: Asked) -> None:
        await asyncio.to_thread(self._finishing, out, photos, sampled, asked)
