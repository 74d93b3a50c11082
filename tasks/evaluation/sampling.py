"""Samples views of test objects with a model: which cases a model has, and every object of a test set in each.

A case is (method, protocol, number of condition views). The sampled cameras are those of the test set, so that view t07
of a sample answers to view t07 of the truth; in the protocols ring and gso the samples' row at the ring's elevation is
brought to the ring's field of view and size and gets its names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch

from models.config import AttentionKernel, Precision
from models.inference.pipeline import MVDiffusionPipeline, load_pipeline
from models.inference.precision import DTYPES, tensor_float32
from models.network.attention_kernels import load_kernel
from render.cameras import Camera
from render.fov import change_fov
from render.passes import View
from render.views import ViewKind
from tasks.artifacts.atomic import read_json
from tasks.artifacts.cases import Case, TestSet
from tasks.artifacts.content import work_key
from tasks.artifacts.manifest import Kind, check_failed_share, seal
from tasks.artifacts.randomness import seed_of
from tasks.artifacts.resume import ItemStore
from tasks.artifacts.shards import OBJECTS_PER_SHARD
from tasks.artifacts.views import Image, ViewSet, seal_views, write_views
from tasks.config import SampleConfig
from tasks.outcome import Done, Outcome
from tasks.ports import NETWORK_THREADS, Tools, collect


def cases_of(method: str, config: SampleConfig, conditions: Sequence[int]) -> list[Case]:
    """List the cases of one method that is given these numbers of condition views in the protocol sparse."""
    return [
        Case(method, protocol, count)
        for protocol in config.protocols
        for count in (conditions if protocol == "sparse" else (1,))
    ]


def has_own_steps(model: Path) -> bool:
    """Whether a saved pipeline was made for a number of steps with the sampler that it was saved with."""
    return read_json(model / "model_index.json").get("num_inference_steps") is not None


def with_views(asked: Sequence[Case], config: SampleConfig, sets: Mapping[TestSet, ViewSet]) -> list[Case]:
    """Return the cases that the test sets have views for, of those that are asked for with `config`.

    Raises ValueError when there is none.
    """
    kinds = {name: {view[0] for uid in views.uids for view in views.names(uid)} for name, views in sets.items()}
    cases = [case for case in asked if case.scored in kinds[case.test_set]]
    if not cases:
        raise ValueError(
            f"sample.protocols is {', '.join(config.protocols)}, and no test set has such views: set "
            "render_test.ring_views, gso_eval.folder or sample.protocols"
        )
    return cases


def sample_cases(
    cases: Sequence[Case],
    sets: Mapping[TestSet, ViewSet],
    models: Mapping[str, Path],
    config: SampleConfig,
    seed: int,
    out: Path,
    tools: Tools,
    inputs: Mapping[str, str],
) -> None:
    """Sample every object of the test sets in the given cases.

    Args:
        cases: What to sample; their test sets have views for them.
        sets: The test sets.
        models: Model folder of each method.
        config: How views are sampled; its stages, protocols and conditions are not read.
        seed: For the initial noise.
        out: Becomes the sealed folder of samples.
        tools: Of whoever asks; unfinished work is kept in their folder.
        inputs: Fingerprint of each test set and each method's model.

    Raises RuntimeError when an object fails; what was sampled stays.
    """
    keys = {
        (method, name): work_key(
            config, seed, reads={name: sets[name].reader.folder, "model": models[method]}, tools=tools
        )
        for method, name in dict.fromkeys((case.method, case.test_set) for case in cases)
    }
    stores = {case: ItemStore(tools.work / keys[case.method, case.test_set] / case.name) for case in cases}
    jobs = []
    for case, store in stores.items():
        sampler = Sampler(
            models[case.method],
            config,
            seed,
            tools.worker_device,
            tools.precision,
            keys[case.method, case.test_set],
            tools.compute.attention_kernel,
            has_own_steps=has_own_steps(models[case.method]),
        )
        views = sets[case.test_set]
        jobs += [
            SampleJob(case, uid, views.only([uid]), sampler, store.path(uid))
            for uid in views.uids
            if not store.has(uid, uid)
        ]
    num_items = sum(len(sets[case.test_set].uids) for case in cases)
    if len(jobs) < num_items:
        num_before = num_items - len(jobs)
        tools.progress.note(f"sample: {num_before} of {num_items} were sampled before, {len(jobs)} to go")
    check_failed_share("sample", collect(tools.pool, tools.progress, "sample", sample_object, jobs), 0.0)
    _held.cache_clear()

    rows = []
    for case, store in stores.items():
        views = sets[case.test_set]
        items = {uid: uid for uid in views.uids}
        layout = store.lay_out(items, OBJECTS_PER_SHARD)
        seal_views(store.readers(items), layout, out / case.name)
        read = {name: inputs[name] for name in (case.test_set, case.method)}
        groups = views.facts("group")
        outcomes = [Done(uid, {"group": groups[uid]}) for uid in views.uids]
        seal(out / case.name, Kind.VIEWS, config=config, inputs=read, outcomes=outcomes)
        store.keep(out / case.name, items, layout)
        rows.append(case.as_json() | _sizes(ViewSet.open(out / case.name), case, tools))
    seal(out, Kind.SAMPLES, config=config, inputs=inputs, facts={"cases": rows})


def _sizes(sampled: ViewSet, case: Case, tools: Tools) -> dict[str, int]:
    """Return the sides of the sampled and of the scored views in pixels; say so where these were enlarged."""
    uid = sampled.uids[0]
    target, scored = sampled.cameras(uid, ViewKind.TARGET)[0], sampled.cameras(uid, case.scored)[0]
    sides = {"sampled_px": len(sampled.image(uid, target.name)), "scored_px": len(sampled.image(uid, scored.name))}
    if sides["scored_px"] > sides["sampled_px"]:
        sizes = f"{sides['sampled_px']} px are enlarged to the {sides['scored_px']} px"
        tools.progress.note(f"sample: {case.name}: views of {sizes} of {case.test_set}")
    return sides


@dataclass(frozen=True)
class Sampler:
    """Samples with one model, which is loaded when it is first needed."""

    model: Path
    config: SampleConfig
    seed: int
    device: str
    precision: Precision = "fp32"
    key: str = ""
    """Changes with the content of the model, whatever its folder is called."""
    attention_kernel: AttentionKernel = "auto"
    has_own_steps: bool = False
    """Whether the model has a sampler and a number of steps of its own."""

    @cached_property
    def pipeline(self) -> MVDiffusionPipeline:
        """The saved model with its own sampler or that of the configuration."""
        scheduler = None if self.has_own_steps else self.config.scheduler
        pipeline = load_pipeline(self.model, scheduler=scheduler, device=self.device, dtype=DTYPES[self.precision])
        pipeline.unet.set_attention_kernel(load_kernel(self.attention_kernel, self.device, self.precision))
        return pipeline

    def sample(self, case: Case, uid: str, views: ViewSet) -> tuple[list[Camera], list[Image]]:
        """Sample all targets of an object of a test set; return cameras and images, those of a ring's views too."""
        if case.protocol == "sparse":
            names = views.names(uid, ViewKind.CONDITION)[: case.conditions]
            _, images = self._sample_targets(uid, list(views.images(uid, names)))
            return views.cameras(uid, ViewKind.TARGET), images
        ring = views.cameras(uid, ViewKind.RING)
        given = views.image(uid, ring[0].name)
        fov_deg = self.pipeline.unet.config.geometry["fov_deg"]
        drawn, images = self._sample_targets(
            uid, [self._seen(given, ring[0].fov_deg, fov_deg, self.pipeline.resolution)]
        )
        twins = [
            (one, image, twin) for one, image in zip(drawn, images, strict=True) for twin in ring if _meet(one, twin)
        ]
        if not twins:
            elevation = f"{ring[0].elevation_deg:g}"
            raise ValueError(
                f"{self.model} draws no view at elevation {elevation}; set sample.protocols without {case.protocol}"
            )
        seen = [self._seen(image, one.fov_deg, twin.fov_deg, len(given)) for one, image, twin in twins]
        return [*drawn, *(twin for _, _, twin in twins)], [*images, *seen]

    def _sample_targets(self, uid: str, conditions: list[Image]) -> tuple[list[Camera], list[Image]]:
        """Sample the targets; azimuths of their cameras count from the first condition view."""
        seed = seed_of(self.seed, "sample", uid)  # the same for every case, so that cases compare
        with tensor_float32(self.device, self.precision):
            drawn = self.pipeline(
                conditions,
                check_masks=False,
                num_inference_steps=None if self.has_own_steps else self.config.steps,
                guidance_scale=self.config.guidance,
                generator=torch.Generator().manual_seed(seed),
            )
        names = map(ViewKind.TARGET.view_name, drawn.target_ids)
        cameras = [Camera(name, **asdict(camera)) for name, camera in zip(names, drawn.cameras, strict=True)]
        return cameras, [np.array(image) for image in drawn.images]

    def _seen(self, image: Image, from_deg: float, to_deg: float, side: int) -> Image:
        """Bring a view to another field of view, unless that is left raw, and to another size (docs/paper.md 3.1)."""
        return change_fov(image, from_deg, from_deg if self.config.fov == "raw" else to_deg, side)


@dataclass(frozen=True)
class SampleJob:
    """All views of one object to sample in one case."""

    case: Case
    object_uid: str
    views: ViewSet
    """The object alone."""
    sampler: Sampler
    item: Path
    """Where the views go."""

    @property
    def uid(self) -> str:
        """Case and object: one object is sampled in every case."""
        return f"{self.case.name}/{self.object_uid}"

    @property
    def reads(self) -> Sequence[Path]:
        """The object's views and the model."""
        return (*self.views.shards, self.sampler.model)

    @property
    def writes(self) -> Sequence[Path]:
        """The item."""
        return (self.item,)


def sample_object(job: SampleJob) -> Outcome:
    """Sample one object in one case; runs in a worker."""
    torch.set_num_threads(NETWORK_THREADS)
    cameras, images = _held(job.sampler).sample(job.case, job.object_uid, job.views)
    write_views(job.item, cameras, [View(image) for image in images], {"case": job.case.name})
    return Done(job.uid)


@lru_cache(maxsize=1)
def _held(sampler: Sampler) -> Sampler:
    """Return the equal sampler that this process has used before, whose model is loaded; only one is held at a time."""
    return sampler


def _meet(one: Camera, other: Camera) -> bool:
    """Whether two cameras look from the same direction."""
    turn = (one.azimuth_deg - other.azimuth_deg + 180) % 360 - 180
    return abs(turn) < 1e-6 and abs(one.elevation_deg - other.elevation_deg) < 1e-6
