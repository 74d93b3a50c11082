"""Samples views in a thread and tells of it while it goes on, with one model in memory at a time."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from render.images import Rgba
from tasks.commands.background import Result, narrated
from tasks.commands.sample_files import MeshSettings, write_sample
from tasks.commands.sampler import (
    Compute,
    SampledViews,
    Sampler,
    SampleSettings,
    Step,
)

PREVIEW_SECONDS = 0.7
"""Between two previews, at least: decoding one costs about as much as a small part of a step."""


@dataclass(frozen=True)
class Progress:
    """How far a sampling is."""

    words: str
    share: float
    """0 to 1."""
    preview: Sequence[Rgba] = ()
    """Views as they are now; empty: there are no newer ones."""


class Drawer:
    """Samples for the visitors of a page, one after the other; a model stays loaded until another one is asked for.

    Args:
        compute: How the networks compute.
        resolve: Finds the folder of a model by the name that a visitor gives.
    """

    def __init__(self, compute: Compute, resolve: Callable[[str], Path]) -> None:
        self._compute = compute
        self._resolve = resolve
        self._turn = threading.Lock()
        self._loaded: tuple[str, Sampler] | None = None

    def draw(
        self, model: str, photos: Sequence[Image.Image], settings: SampleSettings, seed: int, out: Path
    ) -> Generator[Progress | SampledViews, None, None]:
        """Sample the views of one object and write them, with a mesh, into the new folder `out`.

        Yields how far it is, at last the views. Closing the iterator stops the sampling.

        Raises what went wrong: ValueError for a mistake, OSError where `out` cannot be written.
        """
        with closing(narrated(partial(self._drawn, model, photos, settings, seed, out))) as told:
            for news in told:
                yield news.value if isinstance(news, Result) else news

    def _drawn(
        self,
        model: str,
        photos: Sequence[Image.Image],
        settings: SampleSettings,
        seed: int,
        out: Path,
        tell: Callable[[Progress], None],
        is_wanted: Callable[[], bool],
    ) -> SampledViews:
        with self._turn:
            tell(Progress(f"loading {model}", 0.0))
            sampler = self._sampler(model)
            if len(photos) > sampler.max_photos:
                raise ValueError(
                    f"there are {len(photos)} photos, and {model} takes at most {sampler.max_photos}: leave "
                    f"{len(photos) - sampler.max_photos} out"
                )
            watch = _Watch(tell, is_wanted)
            sampled = sampler.sample([photos], settings, [seed], watch)[0]
        tell(Progress("making the mesh and the turntables", 1.0))
        write_sample(out, photos, sampled, settings.share, MeshSettings(seed=seed, device=self._compute.device))
        return sampled

    def _sampler(self, model: str) -> Sampler:
        if self._loaded is None or self._loaded[0] != model:
            self._loaded = None  # two large models may not fit beside each other
            self._loaded = (model, Sampler(self._resolve(model), self._compute))
        return self._loaded[1]


class _Watch:
    """Turns steps into progress: with the time that is left, and now and then a preview."""

    def __init__(self, tell: Callable[[Progress], None], is_wanted: Callable[[], bool]) -> None:
        self._tell, self._is_wanted = tell, is_wanted
        self._began = self._shown = time.monotonic()

    def __call__(self, step: Step) -> bool:
        now = time.monotonic()
        left = (now - self._began) / step.number * (step.total - step.number)
        preview: list[Rgba] = []
        if now - self._shown >= PREVIEW_SECONDS and step.number < step.total:
            preview = step.preview()
            self._shown = time.monotonic()
        words = f"step {step.number} of {step.total}, {left:.0f} s left"
        self._tell(Progress(words, step.number / step.total, preview))
        return self._is_wanted()
