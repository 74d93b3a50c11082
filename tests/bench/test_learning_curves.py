"""Learning curves of a study: lines over samples and objects, their errors, and how they are told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infra.profile import load_profile
from tasks.artifacts.cases import Case
from tests.bench.study.cost import Cost
from tests.bench.study.data import Data
from tests.bench.study.learning import Curve, learning_curves
from tests.bench.study.results import Results, Run
from tests.bench.study.run import CellJob
from tests.bench.study.spec import Study, list_cells, load_study
from tests.bench.study.statistics import Values
from tests.bench.study.tables import lines
from tests.models.toy_latents import write_toy_latents
from tests.project_copy import ROOT

ONE = Case("stage3", "sparse", 1)
GROUP = "held_out"


def on_a_line(quantity: int, bend: float = 0.0) -> Values:
    """Two objects and two seeds: from 16 and 18 dB at 1, one object gains 1 dB a doubling and the other 2."""
    doublings = float(np.log2(quantity))
    return {
        (uid, seed): start + slope * doublings + bend * (quantity == 4) + 0.5 * seed
        for uid, start, slope in (("car", 16.0, 1.0), ("mug", 18.0, 2.0))
        for seed in (0, 1)
    }


def test_line_has_the_mean_slope_of_the_objects_and_its_error() -> None:
    curve = Curve("whole", "samples", {8: on_a_line(8), 1: on_a_line(1)})
    assert curve.per_doubling.mean == pytest.approx(1.5)
    assert (curve.per_doubling.objects, curve.per_doubling.seeds) == (2, 2)
    assert curve.per_doubling.error == pytest.approx(0.5)  # of two objects, 1 and 2 dB
    assert curve.at(64).mean == pytest.approx((16 + 6 + 18 + 12) / 2 + 0.25)
    assert curve.at(64).error is not None
    assert curve.misfit is None  # two points are on every line


def test_points_off_the_line_are_told() -> None:
    straight = Curve("whole", "samples", {one: on_a_line(one) for one in (1, 4, 16)})
    bent = Curve("whole", "samples", {one: on_a_line(one, bend=0.3) for one in (1, 4, 16)})
    assert straight.misfit == pytest.approx(0, abs=1e-9)
    assert bent.misfit == pytest.approx(0.3 * np.sqrt(2 / 9))  # -0.1, 0.2 and -0.1 dB
    assert bent.per_doubling.mean == pytest.approx(straight.per_doubling.mean)


def test_line_is_over_the_objects_and_seeds_that_all_points_have() -> None:
    fewer = {key: value for key, value in on_a_line(8).items() if key[0] == "car"}
    assert Curve("whole", "samples", {1: on_a_line(1), 8: fewer}).per_doubling.mean == pytest.approx(1.0)
    assert not Curve("whole", "samples", {1: on_a_line(1), 8: {}}).is_known


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Runs of two sizes on 3 and on 1 of the objects, and of another variant that is no curve over objects."""
    given = load_study(ROOT / "tests" / "bench" / "studies" / "tiny.yaml").model_dump()
    variants = {
        "whole": {},
        "one object": {"params": {"train_stage*.max_objects": 1}},
        "other": {"params": {"train_stage*.optimizer.learning_rate": 0.5}},
    }
    study = Study.model_validate(given | {"variants": variants, "baseline": "whole", "budgets": [24, 96]})
    data = Data(tmp_path)
    write_toy_latents(data.latents)
    jobs = [CellJob(study.name, cell, data, tmp_path, load_profile("ci")) for cell in list_cells(study)]
    return Results(study, [made(job) for job in jobs])


def made(job: CellJob) -> Run:
    """A run whose PSNR is 1 dB more for each doubling of the samples, and 0.5 dB less with one object."""
    start = np.log2(job.cell.samples) - 0.5 * (job.cell.variant == "one object")
    scores = {(ONE, GROUP, uid): {"psnr": start + number} for number, uid in enumerate(("car", "mug"))}
    return Run(job, Cost(1.0, 1.0, 1.0), "cpu", "run", {}, scores)


def test_curves_are_over_samples_for_each_variant_and_over_objects_where_nothing_else_differs(results: Results) -> None:
    found = list(learning_curves(results, ONE, GROUP, "psnr"))
    assert [(curve.variant, curve.over, sorted(curve.points)) for curve in found] == [
        ("whole", "samples", [24, 96]),
        ("one object", "samples", [24, 96]),
        ("other", "samples", [24, 96]),
        ("24 samples", "objects", [1, 3]),
        ("96 samples", "objects", [1, 3]),
    ]
    assert found[0].per_doubling.mean == pytest.approx(1.0)
    assert found[-1].per_doubling.mean == pytest.approx(0.5 / np.log2(3))


def test_table_says_slopes_and_what_the_lines_say_of_more(results: Results) -> None:
    table = lines(results, GROUP)
    assert table.rows[0][:5] == ("whole", "PSNR, dB", "24, 96 samples", "2 x 2", "+1.000 ± 0.000")
    assert table.rows[0][6] == "9.08 ± 0.50"  # log2(384) + 0.5
    assert len({line.count("|") for line in table.markdown() if line.startswith("|")}) == 1


def test_study_of_one_size_and_without_parts_of_the_objects_has_no_lines(results: Results) -> None:
    short = [run for run in results.runs if run.job.cell.samples == 24 and run.job.cell.variant != "one object"]
    assert lines(replace(results, runs=short), GROUP).rows == ()
