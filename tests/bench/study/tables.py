"""A study's tables: means, differences to the baseline, what more given views bring, and learning curves; as text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.artifacts.cases import Case
from tasks.report.words import case_title, groups_title
from tests.bench.study.learning import BEYOND, learning_curves
from tests.bench.study.results import Results
from tests.bench.study.statistics import Estimate, difference

METRICS = {
    "psnr": ("PSNR, dB", 2),
    "azimuth_hit_rate": ("azimuth hits", 2),
    "ssim": ("SSIM", 3),
    "mask_iou": ("mask IoU", 3),
}
"""Metric -> title and digits."""
COMPARED = ("psnr", "azimuth_hit_rate")


@dataclass(frozen=True)
class Table:
    """A table of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> Iterator[str]:
        """Yield the lines of a Markdown table under its title."""
        yield f"**{self.title}**"
        yield ""
        yield from (f"| {' | '.join(row)} |" for row in (self.columns, ["---"] * len(self.columns), *self.rows))
        if self.note:
            yield from ("", self.note)


def all_tables(results: Results) -> list[Table]:
    """All tables, held-out objects first; a table without rows is left out."""
    tables = [
        table
        for group in results.groups
        for table in (means(results, group), gains(results, group), more_views(results, group), lines(results, group))
    ]
    return [table for table in tables if table.rows]


def seconds_title(results: Results) -> str:
    """Which seconds a run's cost is told in: of the processor, or of a GPU that it held."""
    return "GPU s" if uses_gpu(results) else "CPU s"


def uses_gpu(results: Results) -> bool:
    """Whether the runs trained on a GPU."""
    return any(run.device == "cuda" for run in results.runs)


def seconds(results: Results, variant: str, samples: int) -> float:
    """Those seconds of one run."""
    cost = results.cost(variant, samples)
    return cost.seconds if uses_gpu(results) else cost.cpu_seconds


def means(results: Results, group: str) -> Table:
    """Every case of every variant: means with standard errors, the copied view's margin, chance, and the cost."""
    rows = []
    for samples, variant in _runs(results):
        costs = (f"{seconds(results, variant, samples):,.0f}", f"{results.cost(variant, samples).tflop:,.3g}")
        for case in results.cases:
            found = {name: results.mean(variant, samples, case, group, name) for name in METRICS}
            if found["psnr"] is None:
                continue
            over = results.mean(variant, samples, case, group, "psnr_over_copy")
            chance = results.mean(variant, samples, case, group, "azimuth_chance")
            cells = [_text(found[name], digits) for name, (_, digits) in METRICS.items()]
            cells[1:1] = [_text(over, 2, signed=True)]
            guessed = "" if chance is None else f"{chance.mean:.2f}"
            size = f"{found['psnr'].objects} x {found['psnr'].seeds}"
            rows.append((variant, f"{samples:,}", case_title(case), size, *cells[:3], guessed, *cells[3:], *costs))
    titles = [title for title, _ in METRICS.values()]
    columns = (
        "variant",
        "samples",
        "case",
        "objects x seeds",
        titles[0],
        "over copy",
        titles[1],
        "by chance",
        *titles[2:],
    )
    return Table(
        f"Means, {groups_title(group)}",
        (*columns, seconds_title(results), "TFLOP"),
        tuple(rows),
        "Mean ± standard error over objects and seeds. Costs are those of all trainings of one run.",
    )


def gains(results: Results, group: str) -> Table:
    """Every variant less the baseline; a stage of which both have the same model is left out."""
    baseline, rows = results.study.baseline, []
    for samples, variant in _runs(results):
        if variant == baseline or not results.of(baseline, samples):
            continue
        ratios = (
            f"{seconds(results, variant, samples) / max(seconds(results, baseline, samples), 1e-9):.2f}",
            f"{results.cost(variant, samples).tflop / max(results.cost(baseline, samples).tflop, 1e-12):.2f}",
        )
        for case in results.cases:
            found = [results.gain(variant, samples, case, group, name) for name in COMPARED]
            if found[0] is not None and not results.shares_model(variant, samples, case):
                rows.append((variant, f"{samples:,}", case_title(case), *_difference_cells(found), *ratios))
    return Table(
        f"{groups_title(group).capitalize()}: less {baseline}",
        ("variant", "samples", "case", *_difference_titles(), f"{seconds_title(results)}, ratio", "FLOP, ratio"),
        tuple(rows),
        "Paired by object and seed. Two standard errors are a finding, with two or three seeds rather three.",
    )


def more_views(results: Results, group: str) -> Table:
    """Every variant with more given views less itself with the fewest."""
    rows = []
    for samples, variant in _runs(results):
        for method in dict.fromkeys(case.method for case in results.cases):
            cases = [case for case in results.cases if (case.method, case.protocol) == (method, "sparse")]
            for case in cases[1:]:
                found = [_gain_of_views(results, variant, samples, case, cases[0], group, name) for name in COMPARED]
                if found[0] is not None:
                    label = f"{case_title(case)}, less {cases[0].conditions}"
                    rows.append((variant, f"{samples:,}", label, *_difference_cells(found)))
    return Table(
        f"{groups_title(group).capitalize()}: what more given views bring",
        ("variant", "samples", "case", *_difference_titles()),
        tuple(rows),
    )


def lines(results: Results, group: str) -> Table:
    """Learning curves of the headline's case: slopes, and what the lines say of more samples or objects."""
    rows = []
    for metric in COMPARED:
        title, digits = METRICS[metric]
        for curve in learning_curves(results, results.headline, group, metric):
            most = max(curve.points)
            points = ", ".join(f"{one:,}" for one in sorted(curve.points))
            misfit = "" if curve.misfit is None else f"{curve.misfit:.{digits + 1}f}"
            beyond = (curve.at(times * most).text(digits) for times in BEYOND)
            slope = curve.per_doubling.text(digits + 1, signed=True)
            size = f"{curve.per_doubling.objects} x {curve.per_doubling.seeds}"
            rows.append((curve.variant, title, f"{points} {curve.over}", size, slope, misfit, *beyond))
    return Table(
        f"{groups_title(group).capitalize()}: lines over the logarithm, {case_title(results.headline)}",
        (
            *("variant", "score", "points", "objects x seeds", "each doubling", "off the line"),
            *(f"at {times} times the most" for times in BEYOND),
        ),
        tuple(rows),
        "A line for each object and seed; errors are of their means, and do not say whether the line goes on.",
    )


def _gain_of_views(
    results: Results, variant: str, samples: int, more: Case, fewest: Case, group: str, metric: str
) -> Estimate | None:
    one, other = (results.values(variant, samples, case, group, metric) for case in (more, fewest))
    return difference(one, other)


def _runs(results: Results) -> Iterator[tuple[int, str]]:
    for samples in results.budgets:
        yield from ((samples, variant) for variant in results.variants if results.of(variant, samples))


def _difference_titles() -> tuple[str, ...]:
    return ("PSNR, dB", "in standard errors", "objects better", "azimuth hits")


def _difference_cells(found: Sequence[Estimate | None]) -> Iterator[str]:
    psnr, hits = found
    assert psnr is not None
    yield psnr.text(2, signed=True)
    yield f"{psnr.mean / psnr.error:+.1f}".replace("-", "\N{MINUS SIGN}") if psnr.error else ""
    yield f"{psnr.better} of {psnr.objects}"
    yield _text(hits, 2, signed=True)


def _text(value: Estimate | None, digits: int, *, signed: bool = False) -> str:
    return "" if value is None else value.text(digits, signed=signed)
