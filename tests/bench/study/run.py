"""One run of a study: its trainings, samples and scores, in this process or a worker's. Finished parts are kept."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from flows.wiring import open_tools
from infra.profile import Profile, resolve
from infra.tracking import TrackingStore
from infra.versioning import leaves
from models.config import StageConfig
from tasks.artifacts.atomic import read_json, write_json
from tasks.artifacts.manifest import MANIFEST, fingerprint
from tasks.evaluation.object_scores import ObjectScore
from tasks.evaluation.predictions import Predictions, Scoring, score_predictions
from tasks.evaluation.summary import summarize
from tasks.outcome import Done, Outcome
from tasks.ports import Tools, Tracker
from tasks.sample import sample_test_sets
from tasks.train_diffusion import train_stage
from tests.bench.study.cost import NOTHING, Cost, Metered, spent_in, training_tflop
from tests.bench.study.data import Data
from tests.bench.study.spec import Cell

RESULT, RUN_ID, COST = "result.json", "run_id.txt", "cost.json"


@dataclass(frozen=True)
class CellJob:
    """A run and where it is made; pickles."""

    study: str
    cell: Cell
    data: Data
    folder: Path
    """The study's: `models`, `runs` and `work` lie in it."""
    profile: Profile
    """Of the one process that makes the run."""

    @property
    def uid(self) -> str:
        """The run's name."""
        return self.cell.name

    @property
    def reads(self) -> Sequence[Path]:
        """The data."""
        return (self.data.latents, self.data.vae, self.data.test_views, self.data.gso_eval)

    @property
    def writes(self) -> Sequence[Path]:
        """What is made of them."""
        return (self.folder,)

    def stage_config(self, stage: str) -> StageConfig:
        """The section of a stage; the first that the variant trains has the network."""
        config: StageConfig = getattr(self.cell.params, f"train_{stage}")
        if stage == self.cell.stages[0]:
            return config.model_copy(update={"unet": self.cell.params.train_stage1.unet})
        return config

    @property
    def stage_keys(self) -> dict[str, str]:
        """Names each training after all that decides its result; variants share what does not differ before."""
        hashes = self.data.hashes
        key = fingerprint({path.name: hashes[path.as_posix()] for path in (self.data.latents, self.data.vae)})
        keys = {}
        for stage in self.cell.stages:
            key = fingerprint(key, stage, self.stage_config(stage), self.cell.seed)
            keys[stage] = f"{stage}-{key[:16]}"
        return keys

    @property
    def place(self) -> Path:
        """Folder of the run, named after all that decides its result."""
        params, hashes = self.cell.params, self.data.hashes
        tests = {path.name: hashes[path.as_posix()] for path in (self.data.test_views, self.data.gso_eval)}
        key = fingerprint(self.stage_keys, tests, params.sample, params.evaluate, self.cell.seed)
        return self.folder / "runs" / f"{'-'.join(self.cell.variant.split())}-{self.cell.samples}-{key[:16]}"

    @property
    def is_done(self) -> bool:
        """Whether the run has its result."""
        return (self.place / RESULT).exists()


def run_cell(job: CellJob) -> Outcome:
    """Make a run, or go on where an earlier attempt was left; its result lies in `job.place` afterwards.

    Raises what a stage raises when parameters and data do not fit together.
    """
    store = TrackingStore(job.folder, job.profile.tracking_uri)
    _end_earlier(store, job.place)
    cell = job.cell
    tags = {"study": job.study, "variant": cell.variant, "seed": str(cell.seed), "samples": str(cell.samples)}
    with store.run(cell.name, tags=tags, params=leaves(dict(cell.changes))) as tracker:
        job.place.mkdir(parents=True, exist_ok=True)
        (job.place / RUN_ID).write_text(tracker.run_id)
        models: dict[str, Path] = {}
        total = NOTHING
        for stage in cell.stages:
            previous = models[cell.stages[cell.stages.index(stage) - 1]] if models else None
            models[stage], cost = trained(job, stage, previous, tracker)
            total += cost
        rows = sampled_and_scored(job, models, tracker)
        for case, groups in summarize(rows).items():
            for group, metrics in groups.items():
                tracker.metrics({f"{case}/{group}/{name}": value for name, value in metrics.items()})
        tracker.metrics({f"cost/{name}": value for name, value in total.as_json().items()})
        result: dict[str, Any] = {
            "cost": total.as_json(),
            "device": resolve(job.profile).device,
            "models": {stage: str(path.relative_to(job.folder)) for stage, path in models.items()},
            "run_id": tracker.run_id,
            "scores": [
                {"case": row.case.as_json(), "uid": row.uid, "group": row.group, "metrics": dict(row.metrics)}
                for row in rows
            ],
        }
        write_json(job.place / RESULT, result)
    return Done(job.uid)


def _end_earlier(store: TrackingStore, place: Path) -> None:
    """Mark the MLflow run of a killed attempt, and those below it, as killed."""
    path = place / RUN_ID
    if not path.exists() or not store.knows(run_id := path.read_text()):
        return
    below = store.client.search_runs([store.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
    for killed in (run_id, *(run.info.run_id for run in below)):
        store.end(killed, "KILLED")


def trained(job: CellJob, stage: str, previous: Path | None, tracker: Tracker) -> tuple[Path, Cost]:
    """Train a stage, unless this or another run has done so; return its folder and what it cost."""
    name = job.stage_keys[stage]
    model, work = job.folder / "models" / name, job.folder / "work" / name
    work.mkdir(parents=True, exist_ok=True)
    config = job.stage_config(stage)
    with FileLock(work / "lock"), tracker.part(stage, {"stage": stage, "model": name}) as part:
        if not (work / COST).exists():
            metered = Metered(part, work / "spent")
            if not (model / MANIFEST).exists():
                shutil.rmtree(model, ignore_errors=True)
                with open_tools(f"train-{stage}", job.profile, metered, work) as tools:
                    train_stage(
                        stage, job.data.latents, previous, job.data.vae, config, job.cell.seed, model, known(job, tools)
                    )
                metered.note()
            cost = Cost(*spent_in(work / "spent"), training_tflop(model, config))
            write_json(work / COST, cost.as_json())
            shutil.rmtree(work / ".work", ignore_errors=True)  # the checkpoints
        cost = Cost(**read_json(work / COST))
        part.metrics({f"cost/{key}": value for key, value in cost.as_json().items()})
    return model, cost


def known(job: CellJob, tools: Tools) -> Tools:
    """Tools that know the hashes of the data."""
    return replace(tools, input_hashes=job.data.hashes)


def sampled_and_scored(job: CellJob, models: Mapping[str, Path], tracker: Tracker) -> list[ObjectScore]:
    """Sample the test sets with each model that the section `sample` names, and score every object."""
    config = job.cell.params.sample
    stages = tuple(stage for stage in config.stages if stage in models)
    chosen = config.model_copy(update={"stages": stages})
    samples = job.place / "samples"
    with open_tools("sample", job.profile, tracker, job.place) as tools:
        if not (samples / MANIFEST).exists():
            shutil.rmtree(samples, ignore_errors=True)
            sample_test_sets(
                job.data.test_views, job.data.gso_eval, models, chosen, job.cell.seed, samples, known(job, tools)
            )
            shutil.rmtree(job.place / ".work", ignore_errors=True)
        scoring = Scoring(
            {"test_views": job.data.test_views, "gso_eval": job.data.gso_eval},
            job.cell.params.evaluate,
            job.cell.params.seed,
            tools.threads,
            tools.device,
        )
        return score_predictions([Predictions(samples, meshes=None)], scoring, tools.pool, tools.progress)
