"""Stage validate-views: what the rendered views must hold before anything is trained on them.

Trainings depend on `passed.json` alone, which is the same whatever the bounds: a bound that is changed asks the
expectations again and trains nothing anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render.images import contact_sheet, encode_png
from render.resample import resample
from render.views import ViewKind
from tasks.artifacts.atomic import write_bytes, write_json
from tasks.artifacts.content import content_of
from tasks.artifacts.keyed_files import KeyedFiles
from tasks.artifacts.manifest import Kind, check_failed_share, fingerprint, seal
from tasks.artifacts.resume import run_resumable
from tasks.artifacts.views import ViewSet
from tasks.config import ValidateConfig
from tasks.outcome import Done, Outcome
from tasks.ports import Tools
from tasks.validation.appearance import Appearance, looked_at, measure_objects
from tasks.validation.expectations import Expectation, as_row, check
from tasks.validation.folder import APPEARANCE, LOOKALIKES, PASSED
from tasks.validation.lookalikes import LookAlikes

MAX_PAIRS = 8
"""Pairs of look-alikes on the contact sheet."""
SHEET_PX = 96


@dataclass(frozen=True)
class ValidateJob:
    """The objects of one shard, to be measured."""

    shard: str
    views: ViewSet
    views_each: int
    item: Path
    """Where the measurements go."""

    @property
    def uid(self) -> str:
        """File name of the shard."""
        return self.shard

    @property
    def key(self) -> str:
        """Content of the shard; everything else that decides the result names the folder."""
        return self.item.stem

    @property
    def reads(self) -> Sequence[Path]:
        """The shard."""
        return self.views.shards

    @property
    def writes(self) -> Sequence[Path]:
        """The measurements."""
        return (self.item,)


def validate_views(views: Path, config: ValidateConfig, out: Path, tools: Tools) -> None:
    """Measure every object and ask what is expected of the set; the report shows the numbers.

    Args:
        views: Sealed set of views.
        config: The section `validate_views`.
        out: Becomes the sealed folder: `passed.json`, the measurements, and a sheet of look-alikes.
        tools: Of the stage.

    Raises ValueError when an expectation does not hold that says `on_failure: stop`, RuntimeError for a damaged shard.
    """
    view_set = ViewSet.open(views)
    appearance = _measured(view_set, config, tools)
    splits = view_set.facts("split")
    is_val = np.array([splits[str(uid)] == "val" for uid in appearance.uid])
    found, alike = check(appearance, is_val, config)
    for expectation in found:
        if not expectation.passed:
            tools.progress.note(f"{'warning' if expectation.on_failure == 'warn' else 'validate-views'}: {expectation}")
    tools.tracker.metrics({f"{one.name}_failed_share": one.share for one in found})
    tools.tracker.table([as_row(one) for one in found], "expectations")
    _refuse([one for one in found if not one.passed and one.on_failure == "stop"])
    appearance.save(out / APPEARANCE)
    if len(alike.index):
        write_bytes(out / LOOKALIKES, lookalike_sheet(view_set, appearance, alike, config.views_each))
        tools.tracker.image(out / LOOKALIKES, "lookalikes")
    write_json(out / PASSED, {"passed": True})
    facts = {"expectations": [as_row(one) for one in found], "objects": len(appearance.uid)}
    seal(out, Kind.VALIDATION, config=config, inputs={"views": view_set.manifest.fingerprint}, facts=facts)


def measure_shard(job: ValidateJob) -> Outcome:
    """Measure the objects of one shard; runs in a worker."""
    measure_objects(job.views, job.views_each).save(job.item)
    return Done(job.uid, {"objects": len(job.views.uids)})


def lookalike_sheet(views: ViewSet, appearance: Appearance, alike: LookAlikes, views_each: int) -> bytes:
    """Draw the nearest pairs of look-alikes as a PNG file, a pair in each row: the views that were compared."""
    chosen: list[int] = []
    for row in np.argsort(alike.distance, kind="stable").tolist():
        first, second = int(alike.index[row]), int(alike.nearest[row])
        if first not in chosen and second not in chosen:
            chosen += [first, second]
    images = []
    for index in chosen[: 2 * MAX_PAIRS]:
        uid = str(appearance.uid[index])
        targets = views.names(uid, ViewKind.TARGET)
        names = looked_at(targets, min(views_each, len(targets)))
        images += [resample(image, SHEET_PX) for image in views.images(uid, names)]
    return encode_png(contact_sheet(images, columns=2 * len(images) // len(chosen[: 2 * MAX_PAIRS])))


def _measured(view_set: ViewSet, config: ValidateConfig, tools: Tools) -> Appearance:
    """Measure all objects over the pool, shard by shard; what was measured of the same views is kept."""
    store = KeyedFiles(tools.work / fingerprint(Kind.VALIDATION, config.recipe, config.views_each), ".npz")
    jobs = []
    for shard, uids in view_set.by_shard().items():
        key = fingerprint(shard.name, content_of(shard, tools))
        jobs.append(ValidateJob(shard.name, view_set.only(uids), config.views_each, store.path(key)))
    outcomes = run_resumable("validate-views", measure_shard, jobs, tools, store.folder, store)
    check_failed_share("validate-views", outcomes, 0.0)
    store.keep({job.key for job in jobs})
    return Appearance.join(Appearance.load(job.item) for job in jobs)


def _refuse(failed: Sequence[Expectation]) -> None:
    if failed:
        bounds = " or ".join(f"validate_views.{one.name}" for one in failed)
        raise ValueError(
            f"validate-views: {'; '.join(str(one) for one in failed)}. Leave these objects out, widen {bounds}, or set "
            "its on_failure to warn"
        )
