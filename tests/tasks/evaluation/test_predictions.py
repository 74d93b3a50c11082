"""Which predictions of which objects are scored, from several folders."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from flows.params import load_params
from render.cameras import Camera
from tasks.artifacts.cases import OWN, Case
from tasks.artifacts.manifest import Kind, seal
from tasks.evaluation.predictions import Predictions, Scoring, list_jobs
from tasks.outcome import Done, Outcome, Rejected
from tests.tasks.made_run import PARAMS
from tests.tasks.small_view_sets import CONFIG, seal_images

CAMERA, IMAGE = Camera("t00", 0.0, 0.0, 1.5, 60.0), np.zeros((16, 16, 4), np.uint8)
OURS, SFM, GSO = Case("stage3", "sparse", 1), Case("sfm", "sparse", 2), Case("peer", "gso", 1)


def predict(folder: Path, cases: Mapping[Case, list[str]], meshed: list[str]) -> Predictions:
    for case, uids in cases.items():
        seal_images(folder / "made" / case.name, {uid: [(CAMERA, IMAGE)] for uid in uids})
        (folder / "views").mkdir(parents=True, exist_ok=True)
        (folder / "made" / case.name / "views").rename(folder / "views" / case.name)
    facts = {"cases": [case.as_json() for case in cases]}
    seal(folder / "views", Kind.SAMPLES, config=CONFIG, inputs={}, facts=facts)
    (folder / "meshes").mkdir()
    seal(folder / "meshes", Kind.MESHES, config=CONFIG, inputs={}, outcomes=[Done(uid) for uid in meshed])
    return Predictions(folder / "views", folder / "meshes")


@pytest.fixture
def scoring(tmp_path: Path) -> Scoring:
    truth = seal_images(tmp_path / "truth", {uid: [(CAMERA, IMAGE)] for uid in ("a", "b", "c")}, "train")
    return Scoring({"test_views": truth}, load_params(PARAMS).evaluate, 0)


def test_jobs_have_what_each_case_of_each_folder_knows_of_an_object(scoring: Scoring, tmp_path: Path) -> None:
    ours = predict(tmp_path / "ours", {OURS: ["a", "b", "other"]}, [f"{OURS.name}/a"])
    sfm = predict(tmp_path / "baselines", {SFM: ["a"]}, [f"{SFM.name}/c"])
    rows: list[Outcome] = [
        Done("a", {OWN: {"registered_any": 1}}),
        Rejected("b", "none registered", {OWN: {"registered_any": 0}}),
    ]
    seal(sfm.views / SFM.name, Kind.VIEWS, config=CONFIG, inputs={}, outcomes=rows)
    jobs = {job.object_uid: job for job in list_jobs([ours, sfm], scoring)}
    assert {uid: job.uid for uid, job in jobs.items()} == {uid: f"views/{uid}" for uid in ("a", "b", "c")}
    known = {
        uid: [(one.case.name, one.views is not None, one.mesh is not None, dict(one.own)) for one in job.predicted]
        for uid, job in jobs.items()
    }
    assert known == {
        "a": [(OURS.name, True, True, {}), (SFM.name, True, False, {"registered_any": 1.0})],
        "b": [(OURS.name, True, False, {}), (SFM.name, False, False, {"registered_any": 0.0})],
        "c": [(SFM.name, False, True, {})],
    }
    assert jobs["a"].group == "train"
    only = Predictions(ours.views, ours.meshes, only=SFM)
    assert list(list_jobs([only], scoring)) == []


def test_two_folders_with_one_case_or_an_unknown_test_set_are_a_sentence(scoring: Scoring, tmp_path: Path) -> None:
    pair = [predict(tmp_path / name, {OURS: ["a"]}, []) for name in ("one", "two")]
    with pytest.raises(ValueError, match=f"both have the case {re.escape(OURS.name)}; rename a method"):
        list(list_jobs(pair, scoring))
    gso = predict(tmp_path / "gso", {GSO: ["a"]}, [])
    with pytest.raises(ValueError, match="compared with gso_eval, which is not given; make it first"):
        list(list_jobs([gso], scoring))
