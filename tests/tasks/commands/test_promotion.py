"""What decides whether a model becomes the champion."""

from dataclasses import replace

import pytest

from tasks.commands.promotion import Measured, Question, judge

PSNR = Question("psnr", "sparse", 1, "held_out")
RULER = {"points": 500, "iou_resolution": 16, "lpips_weights": None, "st_lpips": False, "consistency_resolution": None}


def measured(value: float, metric: str = "psnr", **changes: object) -> Measured:
    one = Measured(replace(PSNR, metric=metric), value, 0.25, 24, "test_views", "ab" * 32, RULER)
    return replace(one, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metric", "ours", "theirs", "is_better", "words"),
    [
        ("psnr", 19.6, 19.35, True, "psnr 19.6 +- 0.25 over 24 objects, better by 0.25 than the champion's 19.35"),
        ("psnr", 19.4, 19.35, False, "better by 0.05 beside the champion's 19.35; it must be better by more than 0.1"),
        ("psnr", 19.45, 19.35, False, "must be better by more than 0.1"),
        ("psnr", 18.0, 19.35, False, "worse by 1.35"),
        ("psnr", 19.35, 19.35, False, "equal"),
        ("chamfer", 0.01, 0.2, True, "chamfer 0.01 +- 0.25 over 24 objects, better by 0.19"),
        ("chamfer", 0.3, 0.2, False, "worse by 0.1"),
    ],
)
def test_judge_asks_for_more_than_the_margin(
    metric: str, ours: float, theirs: float, is_better: bool, words: str
) -> None:
    verdict = judge(measured(ours, metric), measured(theirs, metric), margin=0.1, threshold=None)
    assert verdict.is_better is is_better
    assert words in verdict.reason


@pytest.mark.parametrize(
    ("metric", "value", "threshold", "is_better", "words"),
    [
        ("psnr", 17.9, 18, False, "psnr 17.9 +- 0.25 over 24 objects is below the threshold 18"),
        ("psnr", 18.0, 18, True, "there was no champion"),
        ("chamfer", 0.3, 0.2, False, "is above the threshold 0.2"),
        ("chamfer", 0.1, 0.2, True, "there was no champion"),
    ],
)
def test_judge_asks_the_first_for_the_threshold_alone(
    metric: str, value: float, threshold: float, is_better: bool, words: str
) -> None:
    verdict = judge(measured(value, metric), None, margin=5, threshold=threshold)
    assert (verdict.is_better, words in verdict.reason) == (is_better, True)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"test_set_hash": "cd" * 32},
            f"the test sets differ: the candidate was compared with test_views {'ab' * 32}, "
            f"the champion with test_views {'cd' * 32}; score both alike",
        ),
        (
            {"question": replace(PSNR, conditions=4)},
            "the candidate was measured by psnr of sparse-1/held_out, the champion by psnr of sparse-4/held_out",
        ),
        (
            {"ruler": RULER | {"iou_resolution": 64}},
            "candidate and champion were scored differently: evaluate.iou_resolution 16 and 64",
        ),
    ],
)
def test_judge_refuses_what_was_not_measured_alike(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        judge(measured(20), replace(measured(10), **changes), margin=0.1, threshold=None)  # type: ignore[arg-type]


def test_judge_refuses_a_metric_of_which_neither_more_nor_less_is_better() -> None:
    with pytest.raises(ValueError, match="metric 'objects' cannot decide; those that can are psnr, "):
        judge(measured(3, "objects"), measured(2, "objects"), margin=0, threshold=None)


def test_tags_of_a_version_give_back_what_was_measured() -> None:
    one = measured(19.6, standard_error=None)
    assert Measured.from_tags(one.as_tags() | {"promotion.reason": "better", "other": "x"}) == one
    assert Measured.from_tags({"promotion.reason": "by hand"}) is None
    assert Measured.from_tags(one.as_tags() | {"promotion.value": "not a number"}) is None
