from tasks.artifacts.cases import Case
from tasks.report.verdicts import verdicts

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
    sparse, ring, more = verdicts(CASES, summary)
    assert sparse.holds
    assert sparse.claim == "Stage 3, sparse views: better than both baselines on training objects"
    assert sparse.numbers == "least margin +2.50 dB: Stage 3, 4 views given, over copy"
    assert not ring.holds
    assert ring.numbers == "least margin -0.50 dB: Stage 3, 1 view given, over copy"
    assert more.holds
    summary["stage3-sparse-4"] = scores(19.9, 5.9, 2.4)
    assert not verdicts(CASES, summary)[2].holds
