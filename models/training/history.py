"""The metrics of a training by its clock, `samples_seen`. No wall-clock time: equal trainings give equal files."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, float]


class MetricAccumulator:
    """Means of metrics over the steps since the last report."""

    def __init__(self) -> None:
        self.sums: Row = {}
        self.counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Add the metrics of one step."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def pop_means(self) -> Row:
        """Return the mean of each metric over the steps added so far, and forget them."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


class History:
    """The rows reported so far, and the metrics of the steps since the last row; a checkpoint holds both."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.accumulator = MetricAccumulator()

    def append(self, samples_seen: int, metrics: Mapping[str, float]) -> None:
        """Add a row of metrics at a clock."""
        self.rows.append({"samples_seen": samples_seen, **metrics})

    def first(self, metric: str) -> float | None:
        """The first reported value of a metric; None before there is one."""
        return next((row[metric] for row in self.rows if metric in row), None)

    def is_best_at(self, samples_seen: int) -> bool:
        """Whether the validation at this clock is the best so far: lowest val/loss, or highest val/psnr without one."""
        validated = [row for row in self.rows if any(map(_is_validation, row))]
        losses = [row.get("val/loss", -row.get("val/psnr", 0.0)) for row in validated]
        return bool(losses) and validated[-1]["samples_seen"] == samples_seen and losses[-1] == min(losses)

    def state(self) -> dict[str, Any]:
        """The rows and running sums as plain values, for a checkpoint."""
        return {"rows": self.rows, "sums": self.accumulator.sums, "counts": self.accumulator.counts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace rows and running sums by what `state` returned."""
        self.rows = list(state["rows"])
        self.accumulator.sums, self.accumulator.counts = dict(state["sums"]), dict(state["counts"])


def as_csv(rows: Sequence[Row]) -> str:
    """Write rows as CSV with the columns samples_seen, loss, lr, ..., val_loss; blank where a row lacks a metric.

    Numbers have 9 significant digits, as many as float32 needs.
    """
    columns = ["samples_seen", *sorted({name for row in rows for name in row} - {"samples_seen"}, key=_column_order)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column_name(column) for column in columns])
    writer.writerows([[f"{row[name]:.9g}" if name in row else "" for name in columns] for row in rows])
    return text.getvalue()


def _is_validation(metric: str) -> bool:
    return metric.startswith("val/")


def column_name(metric: str) -> str:
    """The CSV column of a metric: "train/loss" becomes "loss", "val/loss" becomes "val_loss"."""
    return metric.removeprefix("train/").replace("/", "_")


def _column_order(metric: str) -> tuple[bool, bool, str]:
    return (metric.startswith("val/"), metric != "train/loss", metric)
