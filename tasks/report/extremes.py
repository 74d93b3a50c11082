"""The best and the worst object of every case, with pictures: what a mean hides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from render.images import contact_sheet
from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import ObjectScore
from tasks.report.inputs import ReportInputs
from tasks.report.pictures import Picture, picture, shrink
from tasks.report.strips import shown_views, thumbnails
from tasks.report.words import COLUMN_OF, Column

NUM_VIEWS = 4
SIDE_PX = 64
JUDGES = ("psnr", "chamfer")
"""By which metric objects are the best and worst: the first that the case has."""


@dataclass(frozen=True)
class Extreme:
    """One object, its score, and some true views above the sampled ones."""

    uid: str
    group: str
    score: str
    views: Picture | None


@dataclass(frozen=True)
class CaseExtremes:
    """The best and the worst object of one case; the same where it has one object alone."""

    case: Case
    num_objects: int
    best: Extreme
    worst: Extreme


def extremes(inputs: ReportInputs, scores: Sequence[ObjectScore], cases: Sequence[Case]) -> Iterator[CaseExtremes]:
    """Yield each case that has a score to judge by with its best and worst object."""
    for case in cases:
        members = sorted((row for row in scores if row.case == case), key=lambda row: row.uid)
        judge = next((name for name in JUDGES if any(name in row.metrics for row in members)), None)
        if judge is None:
            continue
        column = COLUMN_OF[judge]
        known = [row for row in members if column.metric in row.metrics]
        ranked = sorted(known, key=lambda row: column.best * row.metrics[column.metric])
        best, worst = (_extreme(inputs, row, column) for row in (ranked[-1], ranked[0]))
        yield CaseExtremes(case, len(members), best, worst)


def _extreme(inputs: ReportInputs, score: ObjectScore, column: Column) -> Extreme:
    words = f"{column.title.rstrip(' ↑↓')} {column.show(score.metrics[column.metric])}"
    return Extreme(score.uid, score.group, words, _views(inputs, score))


def _views(inputs: ReportInputs, score: ObjectScore) -> Picture | None:
    """Draw NUM_VIEWS of the object, true above sampled; None for a case of meshes alone."""
    if score.views is None:
        return None
    case, drawn = score.case, inputs.view_set(score.views)
    truth = inputs.view_set(inputs.truth_of(case))
    names = shown_views(drawn.cameras(score.uid, case.scored))
    names = names[:: -(-len(names) // NUM_VIEWS)]
    images = [shrink(one, SIDE_PX) for views in (truth, drawn) for one in thumbnails(views, score.uid, names)]
    alt = f"{score.uid}: true views above those of {case.name}"
    return picture(contact_sheet(images, len(names), background="white"), alt)
