"""Tables of the report: results against the floors, verdicts, and the paper's own numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.evaluation.object_scores import Case
from tasks.report.charts import Bar, bar_chart
from tasks.report.html import Html, join, table, tag
from tasks.report.words import COLUMNS, Column, case_title, groups_title, stage_title

Summary = Mapping[str, Mapping[str, Mapping[str, float]]]
"""case -> group -> metric -> mean over the group's objects."""

PAPER_SINGLE = (  # Table 1
    ("RealFusion", "15.26", ".722", ".283", ".0819", ".2741"),
    ("Zero123", "18.93", ".779", ".166", ".0339", ".5035"),
    ("SyncDreamer", "20.05", ".798", ".146", ".0261", ".5421"),
    ("MVDiffusion++", "21.45", ".844", ".129", ".0165", ".6973"),
)
PAPER_SPARSE = (  # Table 2
    ("LEAP, 4 given", "16.54", ".610", ".350", "", ""),
    ("NeuS with true poses, 4 given", "", "", "", ".0158", ".7323"),
    ("MVDiffusion++, 1 given", "20.25", ".862", ".157", ".0208", ".6689"),
    ("MVDiffusion++, 2 given", "21.73", ".872", ".137", ".0158", ".7260"),
    ("MVDiffusion++, 4 given", "23.44", ".886", ".117", ".0122", ".7737"),
    ("MVDiffusion++, 10 given", "25.03", ".899", ".102", ".0101", ".8046"),
)
PAPER_HEAD = ("PSNR ↑", "SSIM ↑", "LPIPS ↓", "Chamfer ↓", "volume IoU ↑")


@dataclass(frozen=True)
class Verdict:
    """A claim, whether it holds, and the numbers that say so."""

    claim: str
    holds: bool
    numbers: str


def all_groups(cases: Sequence[Case], summary: Summary) -> list[str]:
    """Groups of objects, training objects first."""
    return sorted(
        {group for case in cases for group in summary[case.name]}, key=lambda group: (group != "train", group)
    )


def result_tables(cases: Sequence[Case], summary: Summary) -> Html:
    """One table per protocol and group; the best of each column is marked."""
    parts = []
    for protocol, title in (("sparse", "Sparse views: 32 targets"), ("ring", "Ring: SyncDreamer's cameras")):
        members = [case for case in cases if case.protocol == protocol]
        for group in sorted(
            {group for case in members for group in summary[case.name]}, key=lambda one: one != "train"
        ):
            rows = [(case, summary[case.name][group]) for case in members if group in summary[case.name]]
            parts += [tag("h3", f"{title}, {groups_title(group)}"), _result_table(rows)]
    return join(parts)


def _result_table(rows: Sequence[tuple[Case, Mapping[str, float]]]) -> Html:
    columns = [column for column in COLUMNS if any(column.metric in metrics for _, metrics in rows)]
    best = {column: _best(column, [metrics for _, metrics in rows]) for column in columns}
    body = [
        [case_title(case), *(_cell(column, metrics.get(column.metric), best[column]) for column in columns)]
        for case, metrics in rows
    ]
    floors = rows[0][1]
    for name, key in (("All white", "white"), ("First given view, copied", "copy")):
        shown = {"psnr": floors[f"psnr_{key}"], "ssim": floors[f"ssim_{key}"]}
        cells = [column.show(shown[column.metric]) if column.metric in shown else "" for column in columns]
        body.append([tag("span", name, class_="soft"), *(tag("span", cell, class_="soft") for cell in cells)])
    return table(["", *(column.title for column in columns)], body)


def _best(column: Column, rows: Sequence[Mapping[str, float]]) -> float | None:
    values = [metrics[column.metric] for metrics in rows if column.metric in metrics]
    return max(values, key=lambda value: column.best * value) if column.best and len(rows) > 1 else None


def _cell(column: Column, value: float | None, best: float | None) -> Html | str:
    text = column.show(value)
    if column.signed and value is not None:
        return tag("span", text, class_="good" if value > 0 else "bad")
    return tag("span", text, class_="best") if value is not None and value == best else text


def verdicts(cases: Sequence[Case], summary: Summary) -> list[Verdict]:
    """What a trained model must show."""
    return [*_floor_verdicts(cases, summary), *_condition_verdicts(cases, summary)]


def _floor_verdicts(cases: Sequence[Case], summary: Summary) -> Iterator[Verdict]:
    """Of the last stage; what the earlier ones reach on the way stands in the tables."""
    last = max(case.stage for case in cases)
    for protocol in sorted({case.protocol for case in cases}, reverse=True):
        members = [case for case in cases if case.stage == last and case.protocol == protocol]
        for group in all_groups(members, summary):
            margins = [
                (summary[case.name][group][f"psnr_over_{floor}"], f"{case_title(case)}, over {floor}")
                for case in members
                if group in summary[case.name]
                for floor in ("white", "copy")
            ]
            least, where = min(margins)
            claim = f"{stage_title(last)}, {protocol} views: better than both floors on {groups_title(group)}"
            yield Verdict(claim, least > 0, f"least margin {least:+.2f} dB: {where}")


def _condition_verdicts(cases: Sequence[Case], summary: Summary) -> Iterator[Verdict]:
    """More given views must not make it worse."""
    sparse = [case for case in cases if case.protocol == "sparse"]
    for stage in sorted({case.stage for case in sparse}):
        members = sorted((case for case in sparse if case.stage == stage), key=lambda case: case.conditions)
        fewest, most = members[0], members[-1]
        if fewest == most:
            continue
        for group in all_groups([most], summary):
            if group not in summary[fewest.name]:
                continue
            one, many = summary[fewest.name][group]["psnr"], summary[most.name][group]["psnr"]
            claim = f"{case_title(most)}: at least as good as with {fewest.conditions} on {groups_title(group)}"
            yield Verdict(claim, many >= one, f"{many:.2f} dB against {one:.2f} dB")


def verdict_table(rows: Sequence[Verdict]) -> Html:
    """The verdicts with a mark each."""
    marks = {True: tag("span", "yes", class_="badge good"), False: tag("span", "no", class_="badge bad")}
    body = [[row.claim, marks[row.holds], row.numbers] for row in rows]
    return table(["check", "passed", "numbers"], body, class_="words")


def overview(cases: Sequence[Case], summary: Summary) -> Html:
    """PSNR of every case and group as bars."""
    groups = all_groups(cases, summary)
    bars = [
        Bar(
            f"{case_title(case)}{', ring' if case.protocol == 'ring' else ''}",
            metrics["psnr"],
            metrics["psnr_white"],
            metrics["psnr_copy"],
            groups.index(group) % 3,
        )
        for case in cases
        for group, metrics in sorted(summary[case.name].items(), key=lambda item: groups.index(item[0]))
    ]
    keys = [
        part for index, group in enumerate(groups) for part in (tag("i", class_=f"c{index % 3}"), groups_title(group))
    ]
    note = "; solid mark: all white, dashed mark: first given view copied"
    return tag("div", tag("div", bar_chart(bars), class_="bars"), tag("p", *keys, note, class_="key"), class_="chart")


def paper_tables() -> Html:
    """Tables 1 and 2 of the paper, in part."""
    single = table(["Single view, 30 GSO objects, 256 px", *PAPER_HEAD], PAPER_SINGLE)
    sparse = table(["Sparse views, GSO, 512 px", *PAPER_HEAD], PAPER_SPARSE)
    return join([single, sparse])
