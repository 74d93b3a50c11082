"""What the service's worker processes do: sample objects with one loaded model, and write what comes of it."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from models.network.scheduler_names import SchedulerName
from tasks.commands.background import Result, narrated
from tasks.commands.sample_files import MeshSettings, write_sample
from tasks.commands.sampler import Compute, SampledViews, Sampler, SampleSettings, Step
from tasks.commands.service.api import ModelFacts
from tasks.commands.service.jobs import Asked


@dataclass(frozen=True)
class ServedModel:
    """Which model is served, and how it computes."""

    name: str
    """As its user calls it."""
    folder: Path
    compute: Compute
    scheduler: SchedulerName | None = None

    def load(self) -> "LoadedModel":
        """Load it into this process. Raises ValueError where the folder holds no pipeline."""
        return LoadedModel(self.name, Sampler(self.folder, self.compute, self.scheduler))


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory."""

    name: str
    sampler: Sampler

    def facts(self) -> dict[str, object]:
        """Return the fields of ModelFacts."""
        one = self.sampler
        return asdict(ModelFacts(self.name, one.max_photos, one.num_views, one.resolution, one.default_steps))

    def sample(
        self, objects: Sequence[Sequence[Image.Image]], settings: SampleSettings, seeds: Sequence[int]
    ) -> Iterator[tuple[int, int] | list[SampledViews]]:
        """Sample objects together; yields the number of each step with that of all steps, at last the views."""
        with closing(narrated(partial(self._sampled, objects, settings, seeds))) as told:
            for news in told:
                yield news.value if isinstance(news, Result) else news

    def _sampled(
        self,
        objects: Sequence[Sequence[Image.Image]],
        settings: SampleSettings,
        seeds: Sequence[int],
        tell: Callable[[tuple[int, int]], None],
        is_wanted: Callable[[], bool],
    ) -> list[SampledViews]:
        def on_step(step: Step) -> bool:
            tell((step.number, step.total))
            return is_wanted()

        return self.sampler.sample(objects, settings, seeds, on_step)


def finish(out: Path, photos: Sequence[Image.Image], sampled: SampledViews, asked: Asked) -> None:
    """Write the views of one object with turntables and mesh into the new folder `out`, and an archive beside it."""
    mesh = MeshSettings(seed=asked.seed) if asked.has_mesh else None
    write_sample(out, photos, sampled, asked.settings.share, mesh)
    shutil.make_archive(str(out), "zip", out)
