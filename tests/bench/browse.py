"""What the data browser costs at the paper's size: `python -m tests.bench.browse` (make bench-browse).

The stages select, download, normalize and render leave their real ledgers, tables and shards; hub, measuring and
rendering are simulated as in `tests.bench.scale`. The searches are those of `tasks.commands.browse.objects`; a page is
what an HTTP client gets.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.execution.processes import environment
from tasks.commands.browse.app import Data, build_browser
from tasks.commands.browse.objects import Query
from tasks.commands.web_server import serving
from tests.infra.loopback import free_port

STEPS = ("select", "download", "normalize", "render")
REPEATS = 5


def main(words: Sequence[str] | None = None) -> None:
    """Make the data unless it is there, and print what starting and looking cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=180_000)
    parser.add_argument("--folder", type=Path, help="where the data is, or is made and kept")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if not (folder / "views" / "manifest.json").exists():
            make(folder, arguments.objects)
        Console(width=120).print(measure(folder))


def make(folder: Path, count: int) -> None:
    """Leave what the stages leave for `count` objects, each step in a process of its own."""
    for step in STEPS:
        command = [sys.executable, "-m", "tests.bench.scale_worker", step, str(count), str(folder)]
        subprocess.run(command, check=True, env=environment({}), stdout=subprocess.DEVNULL)


def measure(folder: Path) -> Table:
    """Return a table of what the browser costs."""
    table = Table(title="the data browser")
    for column in ("what", "CPU s", "seconds", "result"):
        table.add_column(column, justify="left" if column == "what" else "right")

    def add(what: str, work: Callable[[], object], repeats: int = REPEATS) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(repeats):
            result = work()
        spent = ((time.process_time() - cpu) / repeats, (time.perf_counter() - wall) / repeats)
        table.add_row(what, f"{spent[0]:.3f}", f"{spent[1]:.3f}", str(result))

    held: list[Data] = []
    add("start", lambda: held.append(Data(folder)), repeats=1)
    objects, pictures = held[0].now()
    made = objects.search(Query(stage=objects.stages[-1].stage, status="done"))["uid"]
    uid = made[len(made) // 2].as_py()
    queries = {
        "a uid": Query(uid),
        "part of a uid": Query("abc"),
        "a word of every title": Query("object"),
        "a word of none": Query("nowhere"),
        "two words, a split, a stage": Query("object ab", stage="render", split="val"),
    }
    for what, query in queries.items():
        add(f"search: {what}", lambda query=query: f"{len(objects.search(query)):,}")  # type: ignore[misc]
    add("an object's row", lambda: (objects.row(uid) or {})["stage"])
    if pictures is not None:
        names = pictures.overview(uid).captions
        add("all views, small", lambda: f"{sum(len(pictures._tile(uid, name)) for name in names):,} bytes")
    with serving(build_browser(held[0], "127.0.0.1"), "127.0.0.1", free_port()) as address:
        for what, path in {"first page": "/", "search page": "/?words=abc", "object page": f"/object/{uid}"}.items():
            add(f"HTTP: {what}", lambda path=path: f"{len(_get(address + path)):,} bytes")  # type: ignore[misc]
    table.add_row("memory at most", "", "", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return table


def _get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=600) as answer:
        return bytes(answer.read())


if __name__ == "__main__":
    main()
