"""Means, standard errors and counts over objects."""

import pytest

from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import ObjectScore
from tasks.evaluation.summary import case_table, object_table, summarize

CASE = Case("stage1", "sparse", 1)
ROWS = [
    ObjectScore(CASE, "a", "train", {"psnr": 10.0, "chamfer": 0.5}),
    ObjectScore(CASE, "b", "train", {"psnr": 20.0}),
    ObjectScore(CASE, "c", "train", {"psnr": 12.0}),
    ObjectScore(CASE, "d", "held_out", {"psnr": 9.0}),
]


def test_summary_has_mean_standard_error_and_count_of_each_metric() -> None:
    summary = summarize(ROWS)
    assert summary[CASE.name]["train"] == {
        "objects": 3,
        "meshes": 1,
        "psnr": 14.0,
        "psnr_se": pytest.approx((28**0.5) / 3**0.5),  # deviations -4, 6, -2: variance 56 / 2
        "chamfer": 0.5,
        "chamfer_n": 1,
    }
    assert summary[CASE.name]["held_out"] == {"objects": 1, "meshes": 0, "psnr": 9.0}, "one object has no error"


def test_tables_leave_missing_values_blank() -> None:
    assert object_table(ROWS).decode().splitlines()[:3] == [
        "case,uid,group,chamfer,psnr",
        "stage1-sparse-1,a,train,0.5,10",
        "stage1-sparse-1,b,train,,20",
    ]
    assert (
        case_table([CASE], summarize(ROWS))
        .decode()
        .splitlines()[1]
        .startswith("stage1-sparse-1,stage1,sparse,1,held_out,1,0,")
    )
