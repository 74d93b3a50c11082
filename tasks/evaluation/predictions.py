"""Everything that is scored: folders of predicted views and meshes, whoever made them, against the test sets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.artifacts.cases import MESHES, OWN, VIEWS, Case, TestSet, sampled_cases
from tasks.artifacts.manifest import MANIFEST, Kind, check_failed_share, open_manifest, read_ledger
from tasks.artifacts.views import ViewSet
from tasks.config import EvaluateConfig
from tasks.evaluation.object_scores import ObjectScore, Predicted, ScoreJob, score_object
from tasks.outcome import Done, Failed, Outcome
from tasks.ports import Pool, Progress, collect


@dataclass(frozen=True)
class Predictions:
    """A pair of sealed folders: what one or several methods predicted for objects of the test sets."""

    views: Path
    """Kind.SAMPLES: lists the cases, and has a view set for each that has views."""
    meshes: Path | None
    """Kind.MESHES: `<case>/<uid>.ply`; None: no meshes were made."""
    only: Case | None = None
    """The one case that counts; None: all."""

    @classmethod
    def below(cls, folder: Path, only: Case | None = None) -> "Predictions":
        """The pair that lies in one folder, as baselines and other systems have it."""
        return cls(folder / VIEWS, folder / MESHES, only)

    def of_objects(self) -> Iterator[tuple[str, Predicted]]:
        """Yield what each case has of each object, with the object's uid, in the order of the cases.

        Raises ValueError when a folder is not sealed.
        """
        meshed: set[str] = set()
        if self.meshes is not None:
            open_manifest(self.meshes, Kind.MESHES)
            meshed = {row.uid for row in read_ledger(self.meshes) if isinstance(row, Done)}
        for case in [case for case in sampled_cases(self.views) if self.only in (None, case)]:
            folder = self.views / case.name
            is_sealed = (folder / MANIFEST).exists()
            viewed, own = (set(ViewSet.open(folder).uids), own_scores(folder)) if is_sealed else (set[str](), {})
            prefix = f"{case.name}/"
            uids = viewed | own.keys() | {uid.removeprefix(prefix) for uid in meshed if uid.startswith(prefix)}
            for uid in sorted(uids):
                mesh = self.meshes / case.name / f"{uid}.ply" if self.meshes and f"{prefix}{uid}" in meshed else None
                yield uid, Predicted(case, folder if uid in viewed else None, mesh, own.get(uid, {}))


def own_scores(case_views: Path) -> dict[str, dict[str, float]]:
    """Return, by uid, the scores that were measured where the predictions of a case were made.

    Such as the share of views that structure from motion registers; objects without a prediction may have them too.
    """
    rows = [row for row in read_ledger(case_views) if not isinstance(row, Failed)]
    own: dict[str, Any] = {row.uid: row.facts[OWN] for row in rows if row.facts.get(OWN)}
    return {uid: {name: float(value) for name, value in scores.items()} for uid, scores in own.items()}


@dataclass(frozen=True)
class Scoring:
    """How and where predictions are scored."""

    test_sets: Mapping[TestSet, Path]
    """Folder of each test set that a case may be compared with."""
    config: EvaluateConfig
    seed: int
    threads: int = 1
    """CPU threads of a worker."""
    device: str = "cpu"
    """torch device of a worker."""


def score_predictions(
    predictions: Sequence[Predictions], scoring: Scoring, pool: Pool, progress: Progress
) -> list[ObjectScore]:
    """Score every object of every case, in the order of objects; any failure stops it.

    Objects that a test set does not have are left out. Raises ValueError when two folders have a case of one name or
    one is compared with a test set that is not given, RuntimeError when an object cannot be scored.
    """
    jobs = {job.uid: job for job in list_jobs(predictions, scoring)}
    outcomes = collect(pool, progress, "evaluate", score_object, jobs.values())
    check_failed_share("evaluate", outcomes, 0.0)
    return [row for outcome in outcomes for row in _read_scores(outcome, jobs[outcome.uid])]


def list_jobs(predictions: Sequence[Predictions], scoring: Scoring) -> Iterator[ScoreJob]:
    """Make one job per object of each test set that any case has."""
    by_object = _by_object(predictions)
    missing = {one.case.test_set for all_of in by_object.values() for one in all_of} - set(scoring.test_sets)
    if missing:
        raise ValueError(
            f"predictions are compared with {', '.join(sorted(missing))}, which is not given; make it first"
        )
    for name, folder in scoring.test_sets.items():
        truth = ViewSet.open(folder)
        groups = truth.facts("group")
        for uid in truth.uids:
            mine = tuple(one for one in by_object.get(uid, ()) if one.case.test_set == name)
            if mine:
                yield ScoreJob(
                    uid, str(groups[uid]), folder, mine, scoring.config, scoring.seed, scoring.threads, scoring.device
                )


def _by_object(predictions: Sequence[Predictions]) -> dict[str, list[Predicted]]:
    owners: dict[Case, Predictions] = {}
    by_object: dict[str, list[Predicted]] = {}
    for one in predictions:
        for uid, predicted in one.of_objects():
            if owners.setdefault(predicted.case, one) != one:
                other = owners[predicted.case].views
                raise ValueError(f"{one.views} and {other} both have the case {predicted.case.name}; rename a method")
            by_object.setdefault(uid, []).append(predicted)
    return by_object


def _read_scores(outcome: Outcome, job: ScoreJob) -> Iterator[ObjectScore]:
    assert isinstance(outcome, Done), "a failure has stopped the stage before"
    scores: Any = outcome.facts["cases"]
    for one in job.predicted:
        yield ObjectScore(one.case, job.object_uid, job.group, scores[one.case.name], one.views, one.mesh)
