"""The benchmark of the data browser, with five objects."""

import io
from pathlib import Path

from rich.console import Console

from tests.bench.browse import measure
from tests.tasks.commands.browse.small_data import make_data


def test_browse_benchmark_measures_start_searches_and_pages(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), record=True, width=120)
    console.print(measure(make_data(tmp_path / "data")))
    shown = console.export_text()
    assert "start" in shown
    assert "search: a uid" in shown
    assert "HTTP: object page" in shown
