from tasks.artifacts.cases import Case
from tasks.report.page import case_order, headline_case
from tasks.report.verdicts import verdicts
from tasks.report.words import case_title

CASES = [
    Case("stage1", "sparse", 1),
    Case("stage3", "ring", 1),
    Case("stage3", "sparse", 1),
    Case("stage3", "sparse", 4),
]


def scores(psnr: float, over_white: float, over_copy: float) -> dict[str, dict[str, float]]:
    return {"train": {"psnr": psnr, "psnr_over_white": over_white, "psnr_over_copy": over_copy}}


def test_verdicts_judge_the_last_stage_by_its_least_margin_and_more_views_against_fewer() -> None:
    summary = {
        "stage1-sparse-1": scores(15.0, 1.0, -2.0),
        "stage3-ring-1": scores(16.0, 2.0, -0.5),
        "stage3-sparse-1": scores(20.0, 6.0, 3.0),
        "stage3-sparse-4": scores(20.0, 6.0, 2.5),
    }
    sparse, ring, later, more = verdicts(CASES, summary)
    assert sparse.holds
    assert sparse.claim == "Stage 3, sparse views: better than both baselines on training objects"
    assert sparse.numbers == "least margin +2.50 dB: Stage 3, 4 views given, over copy"
    assert not ring.holds
    assert ring.numbers == "least margin -0.50 dB: Stage 3, 1 view given, over copy"
    assert later.holds
    assert later.claim == "Stage 3, 1 view given: better than Stage 1 on training objects"
    assert later.numbers == "gain +5.00 dB"
    assert more.holds
    summary["stage3-sparse-4"] = scores(19.96, 5.96, 2.46)
    assert verdicts(CASES, summary)[3].holds, "less than what other noise changes"
    summary["stage3-sparse-4"] = scores(19.9, 5.9, 2.4)
    assert not verdicts(CASES, summary)[3].holds


def test_verdicts_compare_each_stage_with_the_one_before_where_both_were_scored() -> None:
    held_out = {"held_out": {"psnr": 14.0, "psnr_over_white": 1.0, "psnr_over_copy": 1.0}}
    summary = {
        "stage1-sparse-1": scores(15.0, 1.0, 1.0),
        "stage2-sparse-1": scores(14.9, 1.0, 1.0) | held_out,
        "stage3-sparse-1": scores(15.1, 1.0, 1.0) | held_out,
        "stage3-sparse-4": scores(16.0, 1.0, 1.0),
    }
    cases = [Case("stage1", "sparse", 1), Case("stage2", "sparse", 1), *CASES[2:]]
    of_stages = {verdict.claim: verdict for verdict in verdicts(cases, summary) if "better than Stage" in verdict.claim}
    assert {claim: verdict.holds for claim, verdict in of_stages.items()} == {
        "Stage 2, 1 view given: better than Stage 1 on training objects": False,
        "Stage 3, 1 view given: better than Stage 2 on training objects": True,
        "Stage 3, 1 view given: better than Stage 2 on held-out objects": False,
    }


def test_verdicts_judge_the_distilled_model_by_the_tables_alone() -> None:
    summary = {case.name: scores(20.0, 6.0, 3.0) for case in CASES}
    distilled = Case("distilled", "sparse", 1)
    assert verdicts([*CASES, distilled], summary | {distilled.name: scores(1.0, -9.0, -9.0)}) == verdicts(
        CASES, summary
    )
    assert case_title(distilled) == "Distilled, 1 view given"
    assert case_order(distilled) < case_order(Case("hull-gt-pose", "sparse", 1))
    assert headline_case([distilled, *CASES]) == CASES[3]


def test_verdicts_say_mask_iou_and_azimuth_hits_where_they_were_measured() -> None:
    summary = {case.name: scores(20.0, 6.0, 3.0) for case in CASES}
    turned = {"objects": 9.0, "mask_iou": 0.8124, "azimuth_hit_rate": 0.375, "azimuth_hit_rate_n": 8.0}
    summary["stage3-sparse-1"]["train"] |= turned | {"azimuth_chance": 0.15}
    summary["stage3-sparse-4"]["train"] |= turned | {"azimuth_chance": 0.15, "mask_iou": 0.9, "azimuth_hit_rate": 0.5}
    sparse, ring, later, more = verdicts(CASES, summary)
    assert (
        "dB: Stage 3, 1 view given, over copy; mask IoU 0.812; azimuth hits 3 of 8, 1.2 by guessing" in sparse.numbers
    )
    assert "mask IoU" not in ring.numbers
    assert later.numbers == "gain +0.00 dB; mask IoU 0.812; azimuth hits 3 of 8, 1.2 by guessing"
    assert more.numbers.endswith(
        "is no difference; mask IoU 0.900 against 0.812; azimuth hits 4 of 8 against 3 of 8, 1.2 by guessing"
    )
