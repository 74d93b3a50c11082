"""Checks that a trained model must pass: better than the stage before and both baselines, no worse with more views."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import Summary
from tasks.evaluation.summary import num_objects
from tasks.report.tables import BASELINES, all_groups
from tasks.report.words import case_title, groups_title, is_stage, method_title

SAME_DB = 0.05
"""Means that differ by less are the same: with other initial noise the demo's differ by 0.1 dB (infra/LOG.md)."""


@dataclass(frozen=True)
class Verdict:
    """A claim, whether it holds, and the numbers that say so."""

    claim: str
    holds: bool
    numbers: str


def verdicts(cases: Sequence[Case], summary: Summary) -> list[Verdict]:
    """Make all checks, those against the baselines first."""
    return [
        *_baseline_verdicts(cases, summary),
        *_stage_verdicts(cases, summary),
        *_condition_verdicts(cases, summary),
    ]


def _baseline_verdicts(cases: Sequence[Case], summary: Summary) -> Iterator[Verdict]:
    """Only the last training stage is judged; how far the earlier ones came stands in the tables."""
    stages = [case for case in cases if is_stage(case.method)]
    last = max((case.method for case in stages), default="")
    for protocol in sorted({case.protocol for case in stages}, reverse=True):
        members = [case for case in stages if case.method == last and case.protocol == protocol]
        for group in all_groups(members, summary):
            margins = [
                (summary[case.name][group][f"psnr_over_{baseline}"], f"{case_title(case)}, over {baseline}", case)
                for case in members
                if group in summary[case.name]
                for baseline in BASELINES
            ]
            least, where, worst = min(margins, key=lambda margin: margin[:2])
            claim = f"{method_title(last)}, {protocol} views: better than both baselines on {groups_title(group)}"
            beside = _beside(summary[worst.name][group])
            yield Verdict(claim, least > 0, f"least margin {least:+.2f} dB: {where}{beside}")


def _stage_verdicts(cases: Sequence[Case], summary: Summary) -> Iterator[Verdict]:
    """Each stage goes on from the weights of the one before (sec. 5.5) and must have gained by it."""
    for before, after in _successive(cases):
        for group in all_groups([after], summary):
            if group in summary[before.name]:
                old, new = summary[before.name][group], summary[after.name][group]
                gain = new["psnr"] - old["psnr"]
                claim = f"{case_title(after)}: better than {method_title(before.method)} on {groups_title(group)}"
                yield Verdict(claim, gain > 0, f"gain {gain:+.2f} dB{_beside(new, old)}")


def _successive(cases: Sequence[Case]) -> Iterator[tuple[Case, Case]]:
    """Cases of a stage and the next one, of the 32 targets and from as many given views."""
    sparse = {(case.method, case.conditions): case for case in cases if case.protocol == "sparse"}
    for before, after in pairwise(sorted({method for method, _ in sparse if is_stage(method)})):
        for (method, conditions), case in sparse.items():
            if method == after and (before, conditions) in sparse:
                yield sparse[before, conditions], case


def _condition_verdicts(cases: Sequence[Case], summary: Summary) -> Iterator[Verdict]:
    """The case with the most given views is compared with the one with the fewest, for each training stage.

    Where one view tells everything the others cannot add to it, so it is enough that they do no harm.
    """
    sparse = [case for case in cases if case.protocol == "sparse" and is_stage(case.method)]
    for method in sorted({case.method for case in sparse}):
        members = sorted((case for case in sparse if case.method == method), key=lambda case: case.conditions)
        fewest, most = members[0], members[-1]
        if fewest == most:
            continue
        for group in all_groups([most], summary):
            if group in summary[fewest.name]:
                few, more = summary[fewest.name][group], summary[most.name][group]
                one, many = few["psnr"], more["psnr"]
                claim = f"{case_title(most)}: at least as good as with {fewest.conditions} on {groups_title(group)}"
                numbers = f"{many:.2f} dB against {one:.2f} dB; less than {SAME_DB} dB is no difference"
                numbers += _beside(more, few)
                yield Verdict(claim, many > one - SAME_DB, numbers)


def _beside(scores: Mapping[str, float], other: Mapping[str, float] | None = None) -> str:
    """Say what else was measured, which decides nothing: mask IoU, and how many objects were drawn turned right.

    Args:
        scores: Means over a group of objects.
        other: Those that they are compared with; None: none.
    """
    said = ""
    if "mask_iou" in scores:
        said += f"; mask IoU {scores['mask_iou']:.3f}"
        said += f" against {other['mask_iou']:.3f}" if other and "mask_iou" in other else ""
    if "azimuth_hit_rate" in scores:
        said += f"; azimuth hits {_hits(scores)}"
        said += f" against {_hits(other)}" if other and "azimuth_hit_rate" in other else ""
        said += f", {scores['azimuth_chance'] * num_objects(scores, 'azimuth_hit_rate'):.1f} by guessing"
    return said


def _hits(scores: Mapping[str, float]) -> str:
    objects = num_objects(scores, "azimuth_hit_rate")
    return f"{scores['azimuth_hit_rate'] * objects:.0f} of {objects}"
