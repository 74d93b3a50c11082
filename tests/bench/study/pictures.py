"""What the variants draw: all targets of a few held-out objects, true and drawn, side by side."""

from collections.abc import Sequence

from render.images import contact_sheet
from render.views import ViewKind
from tasks.artifacts.cases import Case
from tasks.artifacts.views import Image, ViewSet
from tasks.report.pictures import Picture, picture, shrink
from tests.bench.study.results import Results, Run

SIDE_PX, COLUMNS, MAX_OBJECTS = 64, 8, 4


def drawn_views(results: Results) -> list[tuple[str, list[tuple[str, Picture]]]]:
    """Return, for some objects, their true views and those of each variant: its first seed, its most samples.

    The case is the headline's.
    """
    case, group = results.headline, results.main_group
    runs = {name: results.of(name, results.budgets[-1])[:1] for name in results.variants}
    first = {name: found[0] for name, found in runs.items() if found}
    if not first:
        return []
    one = next(iter(first.values()))
    uids = sorted(uid for of, where, uid in one.scores if (of, where) == (case, group))
    chosen = uids[:: max(1, len(uids) // MAX_OBJECTS)][:MAX_OBJECTS]
    return [(uid, [("true", _truth(one, uid, case)), *_drawn(first, uid, case)]) for uid in chosen]


def _truth(run: Run, uid: str, case: Case) -> Picture:
    views = ViewSet.open(getattr(run.job.data, case.test_set))
    return picture(_sheet(views, uid, case.scored), f"{uid}, true views")


def _drawn(runs: dict[str, Run], uid: str, case: Case) -> Sequence[tuple[str, Picture]]:
    return [
        (name, picture(_sheet(ViewSet.open(run.job.place / "samples" / case.name), uid, case.scored), f"{uid}, {name}"))
        for name, run in runs.items()
        if (run.job.place / "samples" / case.name).exists()
    ]


def _sheet(views: ViewSet, uid: str, kind: ViewKind) -> Image:
    images = [shrink(image, SIDE_PX) for image in views.images(uid, views.names(uid, kind))]
    return contact_sheet(images, COLUMNS, background="white")
