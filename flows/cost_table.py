"""Shows what a run costs as tables for the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.table import Table

from flows.cost import CostRow, Machines
from flows.utilization import FEW_JOBS, REMEDIES
from infra.rates import Rates

LEAST_IDLE = 0.1
"""Hours of a core or card below which nobody asks."""


def render_costs(rows: Sequence[CostRow], machines: Machines, rates: Rates) -> Group:
    """Return the table of costs with its totals, what takes longest, what leaves most idle, and the rates' origins."""
    has_money = any(row.money is not None for row in rows)
    devices = f"{machines.cards} x {machines.card} and {machines.cores} cores"
    table = Table(title=f"What the run costs on {devices if machines.cards else f'{machines.cores} cores'}", box=None)
    for name in ("stage", "work", "on"):
        table.add_column(name)
    for name in ("busy, %", "hours", "disk, GB", *(("money",) if has_money else ())):
        table.add_column(name, justify="right")
    for row in rows:
        number, device = (row.cards, "card") if row.cards else (row.cores, "core")
        where = f"{number} {device}{'s' if number > 1 else ''}"
        table.add_row(row.stage, row.work, where, f"{100 * row.busy:.1f}", *_numbers([row], has_money))
    table.add_row("total", "", "", "", *_numbers(rows, has_money), style="bold")
    unknown = ", ".join(row.stage for row in rows if row.hours is None)
    caption = f"busy: share of all cores, or of all cards, at work. Hours not known: {unknown}."
    return Group(table, caption, longest(rows), *most_idle(rows, machines), _rates(rates))


def longest(rows: Sequence[CostRow]) -> str:
    """Say which stage takes longest."""
    slowest, total = max(rows, key=lambda row: row.hours or 0.0), sum(row.hours or 0.0 for row in rows)
    return f"{slowest.stage} takes longest: {slowest.hours:,.2f} of {total:,.2f} hours."


def most_idle(rows: Sequence[CostRow], machines: Machines) -> Iterator[str]:
    """Say which stage leaves most hours of cores idle, which most hours of cards, and what helps."""
    for device, number in (("core", machines.cores), ("card", machines.cards)):
        of_device = [row for row in rows if bool(row.cards) == (device == "card")]
        idle = {row.stage: (1 - row.busy) * number * (row.hours or 0.0) for row in of_device}
        worst = max(idle, key=idle.__getitem__, default=None)
        if worst is not None and idle[worst] >= LEAST_IDLE:
            remedy = REMEDIES.get(worst, FEW_JOBS)
            yield f"{worst} leaves most {device} hours idle, {idle[worst]:,.1f}; what helps: {remedy}."


def _numbers(rows: Sequence[CostRow], has_money: bool) -> list[str]:
    """Hours, gigabytes and money together; empty where no row has hours."""
    known = [row for row in rows if row.hours is not None]
    if not known:
        return [""] * (3 if has_money else 2)
    hours, disk = sum(row.hours or 0.0 for row in known), sum(row.disk_gb for row in known)
    money = [f"{sum(row.money or 0.0 for row in known):,.2f}"] if has_money else []
    return [f"{hours:,.2f}", f"{disk:,.2f}", *money]


def _rates(rates: Rates) -> Table:
    table = Table(title="Counted with (infra/rates.yaml)", box=None)
    for name in ("rate", "value", "unit", "origin", "of"):
        table.add_column(name, no_wrap=name in ("rate", "value", "origin"))
    for name, rate in rates.of_all().items():
        table.add_row(name, f"{rate.value:g}", rate.unit, rate.origin, rate.of)
    return table
