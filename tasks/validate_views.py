"""Stage validate-views: what the rendered views must hold before anything is trained on them.

Trainings depend on `passed.json` alone, which is the same whatever the bounds: a bound that is changed asks the
expectations again and trains nothing anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from render.images import contact_sheet, encode_png
from render.resample import resample
from render.views import ViewKind
from tasks.artifacts.atomic import write_bytes, write_json
from tasks.artifacts.content import content_of
from tasks.artifacts.keyed_files import KeyedFiles
from tasks.artifacts.manifest import Kind, check_failed_share, fingerprint, open_manifest, seal
from tasks.artifacts.resume import run_resumable
from tasks.artifacts.shapes import SHAPES, Shapes
from tasks.artifacts.views import ViewSet
from tasks.config import GsoEvalConfig, RenderTestConfig, ValidateConfig
from tasks.outcome import Done, Outcome
from tasks.ports import Tools
from tasks.sources.tested_shapes import TestedShapes, measure_tested
from tasks.validation.appearance import Appearance, looked_at, measure_objects
from tasks.validation.copies import Copy
from tasks.validation.expectations import Expectation, as_row, check
from tasks.validation.folder import APPEARANCE, LEAVE_OUT, LOOKALIKES, PASSED
from tasks.validation.lookalikes import LookAlikes
from tasks.validation.shape_expectations import check_shapes

MAX_PAIRS = 8
"""Pairs on the contact sheet: so many that look alike, and so many of one shape."""
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


def validate_views(
    views: Path,
    normalized: Path,
    config: ValidateConfig,
    out: Path,
    tools: Tools,
    *,
    render_test: RenderTestConfig | None = None,
    gso_eval: GsoEvalConfig | None = None,
) -> None:
    """Measure every object and ask what is expected of the set; the report shows the numbers.

    Args:
        views: Sealed set of views.
        normalized: Sealed folder of placements, which has the objects' shapes.
        config: The section `validate_views`.
        out: Becomes the sealed folder: `passed.json`, the measurements, a sheet of look-alikes, and a list of training
            objects that are copies of others.
        tools: Of the stage.
        render_test: The section `render_test`; with `gso_eval` it says which objects from outside are tested on.
        gso_eval: The section `gso_eval`.

    Raises ValueError when an expectation does not hold that says `on_failure: stop`, RuntimeError for a damaged shard.
    """
    view_set = ViewSet.open(views)
    placements = open_manifest(normalized, Kind.PLACEMENTS)
    appearance = _measured(view_set, config, tools)
    splits = view_set.facts("split")
    is_val = np.array([splits[str(uid)] == "val" for uid in appearance.uid])
    found, alike = check(appearance, is_val, config)
    tested = measure_tested(render_test, gso_eval, tools)
    shapes = Shapes.load(normalized / SHAPES).only(appearance.uid)
    by_shape = check_shapes(shapes, appearance.uid[is_val], tested.shapes, config)
    found += by_shape.expectations
    _tell(found, tested, tools)
    listed = _list_leaking(by_shape.leaking, tools)
    _refuse([one for one in found if not one.passed and one.on_failure == "stop"], listed)
    appearance.save(out / APPEARANCE)
    if listed is not None:
        write_bytes(out / LEAVE_OUT, listed.read_bytes())
    pairs = sheet_pairs(appearance, alike, by_shape.held_out)
    if pairs:
        write_bytes(out / LOOKALIKES, lookalike_sheet(view_set, pairs, config.views_each))
        tools.tracker.image(out / LOOKALIKES, "lookalikes")
    write_json(out / PASSED, {"passed": True})
    facts: dict[str, Any] = {"expectations": [as_row(one) for one in found], "objects": len(appearance.uid)}
    if tested.unknown:
        facts["tested_without_shape"] = dict(tested.unknown)
    inputs = {
        "views": view_set.manifest.fingerprint,
        "normalized": placements.fingerprint,
        "tested": fingerprint(tested.shapes.uid.tolist(), tested.shapes.shape.tolist()),
    }
    seal(out, Kind.VALIDATION, config=config, inputs=inputs, facts=facts)


def _tell(found: Sequence[Expectation], tested: TestedShapes, tools: Tools) -> None:
    for expectation in found:
        if not expectation.passed:
            tools.progress.note(f"{'warning' if expectation.on_failure == 'warn' else 'validate-views'}: {expectation}")
    if tested.unknown:
        uid, reason = next(iter(tested.unknown.items()))
        tools.progress.note(
            f"warning: {len(tested.unknown)} objects that are tested on have no shape to compare, such as {uid}: "
            f"{reason}; a copy of them in training is found by its name alone"
        )
    tools.tracker.metrics({f"{one.name}_failed_share": one.share for one in found})
    tools.tracker.table([as_row(one) for one in found], "expectations")


def _list_leaking(leaking: Sequence[Copy], tools: Tools) -> Path | None:
    """Write the training objects that are copies as a list for `select.leave_out`, whose name follows its content.

    It lies outside the stage's output, which there is none of where an expectation stops the run.
    """
    if not leaking:
        return None
    rows = "".join(f"{pair.uid},{pair.like},{pair.distance:.4f}\n" for pair in leaking)
    path = tools.work / f"leave_out-{fingerprint(rows)[:8]}.csv"
    write_bytes(path, f"uid,like,distance\n{rows}".encode())
    tools.progress.note(
        f"validate-views: {len(leaking)} training objects have the shape of one that is held out or tested on; to "
        f"leave them out: python -m flows run --set select.leave_out={path}"
    )
    return path


def measure_shard(job: ValidateJob) -> Outcome:
    """Measure the objects of one shard; runs in a worker."""
    measure_objects(job.views, job.views_each).save(job.item)
    return Done(job.uid, {"objects": len(job.views.uids)})


def sheet_pairs(appearance: Appearance, alike: LookAlikes, held_out: Sequence[Copy]) -> list[tuple[str, str]]:
    """Choose the nearest pairs that look alike, then the nearest of one shape; no object twice.

    Args:
        appearance: Of all objects.
        alike: Objects that look like another one.
        held_out: Held-out objects with the shape of one in training. Objects of test sets from outside have no views
            here, so their pairs are not shown.
    """
    order = np.argsort(alike.distance, kind="stable").tolist()
    by_looks = [(str(appearance.uid[alike.index[row]]), str(appearance.uid[alike.nearest[row]])) for row in order]
    chosen: list[tuple[str, str]] = []
    for candidates in (by_looks, [(pair.uid, pair.like) for pair in held_out]):
        most = len(chosen) + MAX_PAIRS
        for pair in candidates:
            if len(chosen) < most and not {*pair} & {uid for shown in chosen for uid in shown}:
                chosen.append(pair)
    return chosen


def lookalike_sheet(views: ViewSet, pairs: Sequence[tuple[str, str]], views_each: int) -> bytes:
    """Draw pairs of objects as a PNG file, a pair in each row: the views that were compared."""
    images = []
    for uid in (uid for pair in pairs for uid in pair):
        targets = views.names(uid, ViewKind.TARGET)
        names = looked_at(targets, min(views_each, len(targets)))
        images += [resample(image, SHEET_PX) for image in views.images(uid, names)]
    return encode_png(contact_sheet(images, columns=len(images) // len(pairs)))


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


def _refuse(failed: Sequence[Expectation], listed: Path | None) -> None:
    if failed:
        bounds = " or ".join(f"validate_views.{one.name}" for one in failed)
        leave_out = f" ({listed} lists those with the shape of another, for select.leave_out)" if listed else ""
        raise ValueError(
            f"validate-views: {'; '.join(str(one) for one in failed)}. Leave these objects out{leave_out}, widen "
            f"{bounds}, or set its on_failure to warn"
        )
