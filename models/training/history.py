"""The numbers of a training over its clock. Knows no wall clock, so equal trainings give equal files."""

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
        """Take in one step."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def close(self) -> Row:
        """The means; the window is empty afterwards."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


class History:
    """Rows of metrics, and the steps not yet reported; both belong into a checkpoint."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.window = MetricAccumulator()

    def append(self, samples_seen: int, metrics: Mapping[str, float]) -> None:
        """Add a row."""
        self.rows.append({"samples_seen": samples_seen, **metrics})

    def first(self, metric: str) -> float | None:
        """What it was when it was first reported."""
        return next((row[metric] for row in self.rows if metric in row), None)

    def is_best_at(self, samples_seen: int) -> bool:
        """Whether it was validated at this clock, and never better: by loss, or by PSNR where there is none."""
        validated = [row for row in self.rows if any(map(_is_validation, row))]
        losses = [row.get("val/loss", -row.get("val/psnr", 0.0)) for row in validated]
        return bool(losses) and validated[-1]["samples_seen"] == samples_seen and losses[-1] == min(losses)

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"rows": self.rows, "sums": self.window.sums, "counts": self.window.counts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state`."""
        self.rows = list(state["rows"])
        self.window.sums, self.window.counts = dict(state["sums"]), dict(state["counts"])


def as_csv(rows: Sequence[Row]) -> str:
    """A table with one line per row: samples_seen, loss, lr, ..., val_loss; blank where a row lacks a metric.

    Numbers have 9 significant digits, as many as float32 needs.
    """
    columns = ["samples_seen", *sorted({name for row in rows for name in row} - {"samples_seen"}, key=_rank)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column_name(column) for column in columns])
    writer.writerows([[f"{row[name]:.9g}" if name in row else "" for name in columns] for row in rows])
    return text.getvalue()


def _is_validation(metric: str) -> bool:
    return metric.startswith("val/")


def column_name(metric: str) -> str:
    """Column of a metric: "train/loss" is "loss", "val/loss" is "val_loss"."""
    return metric.removeprefix("train/").replace("/", "_")


def _rank(metric: str) -> tuple[bool, bool, str]:
    return (metric.startswith("val/"), metric != "train/loss", metric)
