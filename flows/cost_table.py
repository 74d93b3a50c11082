"""Shows what a run costs as tables for the terminal."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table

from flows.cost import NOT_COUNTED, CostRow, Machines
from infra.rates import Rates


def render_costs(rows: Sequence[CostRow], machines: Machines, rates: Rates) -> Group:
    """Return the table of costs with its totals, what takes longest, and the rates with their origins."""
    has_money = all(row.money is not None for row in rows)
    devices = f"{machines.cards} x {machines.card} and {machines.cores} cores"
    table = Table(title=f"What the run costs on {devices if machines.cards else f'{machines.cores} cores'}", box=None)
    for name in ("stage", "work", "on"):
        table.add_column(name)
    for name in ("hours", "disk, GB", *(("money",) if has_money else ())):
        table.add_column(name, justify="right")
    for row in rows:
        number, device = (row.cards, "card") if row.cards else (row.cores, "core")
        table.add_row(row.stage, row.work, f"{number} {device}{'s' if number > 1 else ''}", *_numbers([row], has_money))
    table.add_row("total", "", "", *_numbers(rows, has_money), style="bold")
    return Group(table, longest(rows), f"Not counted: {', '.join(NOT_COUNTED)}.", _rates(rates))


def longest(rows: Sequence[CostRow]) -> str:
    """Say which stage takes longest."""
    slowest, total = max(rows, key=lambda row: row.hours), sum(row.hours for row in rows)
    return f"{slowest.stage} takes longest: {slowest.hours:,.2f} of {total:,.2f} hours."


def _numbers(rows: Sequence[CostRow], has_money: bool) -> list[str]:
    hours, disk = sum(row.hours for row in rows), sum(row.disk_gb for row in rows)
    money = [f"{sum(row.money or 0 for row in rows):,.2f}"] if has_money else []
    return [f"{hours:,.2f}", f"{disk:,.2f}", *money]


def _rates(rates: Rates) -> Table:
    table = Table(title="Counted with (infra/rates.yaml)", box=None)
    for name in ("rate", "value", "unit", "origin", "of"):
        table.add_column(name, no_wrap=name in ("rate", "value", "origin"))
    for name, rate in rates.of_all().items():
        table.add_row(name, f"{rate.value:g}", rate.unit, rate.origin, rate.of)
    return table
