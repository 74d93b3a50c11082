"""Stage sample: all target views of every test object, sampled with each training stage's model.

A case is (method, protocol, number of condition views); the methods sampled here are the training stages. The sampled
cameras are those of the test set, so that view t07 of a sample answers to view t07 of the truth; in the ring protocol
the samples' row at the ring's elevation is brought to the ring's field of view and carries the ring's names.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from models.inference.pipeline import MVDiffusionPipeline, load_pipeline
from render.cameras import Camera
from render.fov import change_fov
from render.passes import View
from render.views import ViewKind
from tasks.artifacts.cases import Case
from tasks.artifacts.content import work_key
from tasks.artifacts.manifest import Kind, open_manifest, seal
from tasks.artifacts.randomness import seed_of
from tasks.artifacts.resume import ItemStore
from tasks.artifacts.shards import OBJECTS_PER_SHARD
from tasks.artifacts.views import Image, ViewSet, seal_views, write_views
from tasks.config import SampleConfig
from tasks.outcome import Done, Outcome
from tasks.ports import Tools


def sample_test_sets(
    test_views: Path, stages: Mapping[str, Path], config: SampleConfig, seed: int, out: Path, tools: Tools
) -> None:
    """Sample every test object in every case: a folder of views per case, listed in the manifest's facts (sec. 6).

    Args:
        test_views: Sealed set of test views, whose condition views the models are given.
        stages: Model folder of each training stage.
        config: The section `sample`.
        seed: For the initial noise, which is the same in all cases of an object.
        out: Becomes the sealed folder of samples.
        tools: Of the stage.
    """
    torch.set_num_threads(tools.threads)
    views = ViewSet.open(test_views)
    inputs = {"test_views": views.manifest.fingerprint}
    inputs |= {stage: open_manifest(folder, Kind.DIFFUSION_MODEL).fingerprint for stage, folder in stages.items()}
    cases = plan_cases(config, views)
    keys: dict[str, str] = {
        stage: work_key(config, seed, reads={"test_views": test_views, "model": stages[stage]}, tools=tools)
        for stage in config.stages
    }
    stores = {case: ItemStore(tools.work / keys[case.method] / case.name) for case in cases}
    num_items = len(cases) * len(views.uids)
    num_before = sum(store.has(uid, uid) for store in stores.values() for uid in views.uids)
    if num_before:
        tools.progress.note(f"sample: {num_before} of {num_items} were sampled before, {num_items - num_before} to go")
    with tools.progress.items("sample", num_items) as show:
        for case, sampler in _with_samplers(
            cases, lambda stage: Sampler(stages[stage], config, seed, views, tools.device)
        ):
            store, outcomes = stores[case], []
            for outcome in _sample_case(case, sampler, views, store):
                show(outcome)
                outcomes.append(outcome)
            items = {uid: uid for uid in views.uids}
            layout = store.lay_out(items, OBJECTS_PER_SHARD)
            seal_views(store.readers(items), layout, out / case.name)
            seal(out / case.name, Kind.VIEWS, config=config, inputs=inputs, outcomes=outcomes)
            store.keep(out / case.name, items, layout)
    facts = {"cases": [case.as_json() for case in cases]}
    seal(out, Kind.SAMPLES, config=config, inputs=inputs, facts=facts)


def plan_cases(config: SampleConfig, views: ViewSet) -> list[Case]:
    """List the cases: stage 3 is given every number of condition views, the single-view stages and the ring one."""
    has_ring = any(views.names(uid, ViewKind.RING) for uid in views.uids[:1])
    cases = []
    for stage in config.stages:
        counts = config.conditions if stage == "stage3" else (1,)
        cases += [Case(stage, "sparse", count) for count in counts]
        if has_ring:
            cases.append(Case(stage, "ring", 1))
    return cases


def _with_samplers(cases: list[Case], make: Callable[[str], "Sampler"]) -> Iterator[tuple[Case, "Sampler"]]:
    """Yield each case with the sampler of its stage; only one model is held at a time."""
    for stage, group in groupby(cases, key=lambda case: case.method):
        sampler = make(stage)
        for case in group:
            yield case, sampler


def _sample_case(case: Case, sampler: "Sampler", views: ViewSet, store: ItemStore) -> Iterator[Outcome]:
    for uid in views.uids:
        if not store.has(uid, uid):
            cameras, images = sampler.sample(case, uid)
            write_views(store.path(uid), cameras, [View(image) for image in images], {"case": case.name})
        yield Done(uid, views.facts[uid])


@dataclass(frozen=True)
class Sampler:
    """Samples with the model of one training stage, which is loaded when it is first needed."""

    model: Path
    config: SampleConfig
    seed: int
    views: ViewSet
    device: str

    @cached_property
    def pipeline(self) -> MVDiffusionPipeline:
        """The saved model with the sampler of the configuration."""
        return load_pipeline(self.model, scheduler=self.config.scheduler, device=self.device)

    def sample(self, case: Case, uid: str) -> tuple[list[Camera], list[Image]]:
        """Sample all targets of an object; return cameras and images, for the ring protocol the ring's views too."""
        ring = self.views.cameras(uid, ViewKind.RING)
        targets = self.views.cameras(uid, ViewKind.TARGET)
        if case.protocol == "sparse":
            names = self.views.names(uid, ViewKind.CONDITION)[: case.conditions]
            return targets, self._sample_targets(uid, list(self.views.images(uid, names)))
        aligned = [replace(camera, azimuth_deg=camera.azimuth_deg - targets[0].azimuth_deg) for camera in targets]
        shown = self._matched(self.views.image(uid, ring[0].name), ring[0], aligned[0])
        images = self._sample_targets(uid, [shown])
        pairs = zip(aligned, images, strict=True)
        twins = [(drawn, image, twin) for drawn, image in pairs for twin in ring if _meet(drawn, twin)]
        seen = [self._matched(image, drawn, twin) for drawn, image, twin in twins]
        return [*aligned, *(twin for _, _, twin in twins)], [*images, *seen]

    def _sample_targets(self, uid: str, conditions: list[Image]) -> list[Image]:
        seed = seed_of(self.seed, "sample", uid)  # the same for every case, so that cases compare
        drawn = self.pipeline(
            conditions,
            num_inference_steps=self.config.steps,
            guidance_scale=self.config.guidance,
            generator=torch.Generator().manual_seed(seed),
        )
        return [np.array(image) for image in drawn.images]

    def _matched(self, image: Image, taken: Camera, wanted: Camera) -> Image:
        if self.config.fov == "raw":
            return image
        return change_fov(image, taken.fov_deg, wanted.fov_deg, image.shape[0])


def _meet(one: Camera, other: Camera) -> bool:
    """Whether two cameras look from the same direction."""
    turn = (one.azimuth_deg - other.azimuth_deg + 180) % 360 - 180
    return abs(turn) < 1e-6 and abs(one.elevation_deg - other.elevation_deg) < 1e-6
