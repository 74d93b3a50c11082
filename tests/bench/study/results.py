"""What finished runs have found: every score by variant, samples, case, group, object and seed."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tasks.artifacts.atomic import read_json
from tasks.artifacts.cases import Case
from tasks.artifacts.manifest import HISTORY
from tasks.report.page import case_order
from tests.bench.study.cost import NOTHING, Cost
from tests.bench.study.run import RESULT, CellJob
from tests.bench.study.spec import Study
from tests.bench.study.statistics import Estimate, Floats, Values, difference, estimate


@dataclass(frozen=True)
class Run:
    """A finished run."""

    job: CellJob
    cost: Cost
    device: str
    """What it trained on: cpu or cuda."""
    run_id: str
    models: Mapping[str, Path]
    """Model folder of each trained stage, in order."""
    scores: Mapping[tuple[Case, str, str], Mapping[str, float]]
    """(case, group, object) -> metrics."""

    @classmethod
    def load(cls, job: CellJob) -> "Run":
        """Read a finished run."""
        result: dict[str, Any] = read_json(job.place / RESULT)
        scores = {(Case.from_json(row["case"]), row["group"], row["uid"]): row["metrics"] for row in result["scores"]}
        models = {stage: job.folder / path for stage, path in result["models"].items()}
        return cls(job, Cost(**result["cost"]), result["device"], result["run_id"], models, scores)

    def curve(self, metric: str) -> Floats:
        """A metric of the trainings over all samples seen so far, stage after stage: (points, 2)."""
        points, before = [], 0
        for stage in self.job.cell.stages:
            with (self.models[stage] / HISTORY).open(newline="") as handle:
                rows = list(csv.DictReader(handle))
            points += [(before + float(row["samples_seen"]), float(row[metric])) for row in rows if row.get(metric)]
            before += int(float(rows[-1]["samples_seen"]))
        return np.reshape(points, (-1, 2))


@dataclass(frozen=True)
class Results:
    """All finished runs of a study."""

    study: Study
    runs: Sequence[Run]

    @cached_property
    def variants(self) -> list[str]:
        """Variants with a finished run, in the order of the study."""
        known = {run.job.cell.variant for run in self.runs}
        return [name for name in self.study.variants if name in known]

    @cached_property
    def budgets(self) -> list[int]:
        """Numbers of samples that a run had, ascending."""
        return sorted({run.job.cell.samples for run in self.runs})

    @cached_property
    def groups(self) -> list[str]:
        """Groups of objects, those never trained on first."""
        return sorted(
            {group for run in self.runs for _, group, _ in run.scores}, key=lambda name: (name == "train", name)
        )

    @cached_property
    def cases(self) -> list[Case]:
        """All cases, as the report orders them."""
        return sorted({case for run in self.runs for case, _, _ in run.scores}, key=case_order)

    def of(self, variant: str, samples: int) -> list[Run]:
        """Runs of a variant after so many samples, by seed."""
        return sorted(
            (run for run in self.runs if (run.job.cell.variant, run.job.cell.samples) == (variant, samples)),
            key=lambda run: run.job.cell.seed,
        )

    def values(self, variant: str, samples: int, case: Case, group: str, metric: str) -> Values:
        """A metric by object and seed."""
        return {
            (uid, run.job.cell.seed): metrics[metric]
            for run in self.of(variant, samples)
            for (of, where, uid), metrics in run.scores.items()
            if (of, where) == (case, group) and metric in metrics
        }

    def mean(self, variant: str, samples: int, case: Case, group: str, metric: str) -> Estimate | None:
        """A metric's mean over objects and seeds."""
        return estimate(self.values(variant, samples, case, group, metric))

    def gain(self, variant: str, samples: int, case: Case, group: str, metric: str) -> Estimate | None:
        """A metric less that of the baseline with the same objects, seeds and samples."""
        of_baseline = self.values(self.study.baseline, samples, case, group, metric)
        return difference(self.values(variant, samples, case, group, metric), of_baseline)

    def shares_model(self, variant: str, samples: int, case: Case) -> bool:
        """Whether the case's stage is the baseline's own: the variant differs in a later one."""
        own, baseline = (
            [run.models.get(case.method) for run in self.of(name, samples)] for name in (variant, self.study.baseline)
        )
        return own == baseline

    def cost(self, variant: str, samples: int) -> Cost:
        """What a run of the variant costs on average."""
        costs = [run.cost for run in self.of(variant, samples)]
        return Cost(*(value / len(costs) for value in sum(costs, NOTHING).as_json().values()))

    @property
    def headline(self) -> Case:
        """The case that stands for a variant: sparse views of the last stage, fewest given."""
        sparse = [case for case in self.cases if case.protocol == "sparse"] or self.cases
        last = max(case.method for case in sparse)
        return min((case for case in sparse if case.method == last), key=lambda case: case.conditions)

    @property
    def main_group(self) -> str:
        """The group that curves and pictures show: of those that the headline's case has, the first."""
        known = {group for run in self.runs for case, group, _ in run.scores if case == self.headline}
        return next(group for group in self.groups if group in known)
