"""Adds to the site what is no page of docs/: README, decisions, code that pages link to, the commands, the reference.

Pages are written to be read in the repository too, so their links lead to files: `../flows/pipeline.py#L20`. Here such
a link becomes one to a page of the site that shows the file. A link to what is not there is an error (`strict`).
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tests.doc_links import LINK
from tests.site.commands import commands_page
from tests.site.reference import REFERENCE, reference_page

ROOT = Path(__file__).parents[2]
HOME = "README.md"
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "infra/LOG.md")
"""Markdown files outside docs/ that are pages by themselves, besides the decisions."""
DECISIONS = "infra/decisions"
CODE = "code"
"""Folder of the site with the files that pages link to."""
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json", ".sh": "bash"}
LARGEST = 300_000
"""Bytes of a file that is shown."""
FENCED = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
INDEX = "index.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation: every decision, every package of the reference, and pages that nobody has placed."""
    nav: list[Any] = config.nav or []
    groups = {title: pages for group in nav for title, pages in group.items()}
    groups["Reference"][1:1] = [{title: f"reference/{name}.md"} for name, title in REFERENCE.items()]
    placed = set(_pages_of(nav))
    decisions = [f"{DECISIONS}/{INDEX}", *(f"{DECISIONS}/{path.name}" for path in _decisions())]
    groups["Project"].append({"Decisions": decisions})
    left = [name for name in _pages_in_docs() if name not in placed]
    if left:
        nav.append({"More": left})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    for name, content in _made_pages():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages of the site, code blocks left as they are."""
    del config
    here = _source_of(page.file.src_uri)
    if here is None:
        return markdown
    pieces = FENCED.split(markdown)
    pieces[::2] = [LINK.sub(_redirected(here, page.file.src_uri, files), text) for text in pieces[::2]]
    return "".join(pieces)


def _redirected(here: PurePosixPath, page: str, files: Files) -> Callable[[re.Match[str]], str]:
    """Return what replaces a link of the file `here`, which is shown as `page`."""

    def replace(match: re.Match[str]) -> str:
        target, anchor = match["target"], match["anchor"]
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        place = site_place(normpath(str(here.parent / target)))
        if files.get_file_from_path(place) is None:
            return match[0]  # mkdocs says that it leads nowhere
        if anchor and place.startswith(f"{CODE}/") and re.fullmatch(r"L\d+", anchor):
            anchor = f"L-0-{anchor[1:]}"  # what pymdownx calls the line of the page's first block
        return f"[{match['text']}]({relpath(place, str(PurePosixPath(page).parent))}{f'#{anchor}' if anchor else ''})"

    return replace


def site_place(name: str) -> str:
    """Return where a file or folder of the repository, by its path there, stands in the site."""
    if name == HOME:
        return INDEX
    if name.startswith("docs/"):
        inside = name.removeprefix("docs/")
        return f"{inside.removesuffix('.ipynb')}.md" if inside.endswith(".ipynb") else inside
    if name == DECISIONS:
        return f"{DECISIONS}/{INDEX}"
    if name in PAGES or name.startswith(f"{DECISIONS}/"):
        return name
    return f"{CODE}/{name}/{INDEX}" if (ROOT / name).is_dir() else f"{CODE}/{name}.md"


def _source_of(page: str) -> PurePosixPath | None:
    """Return the path in the repository of the file that a page shows; None for pages that are made here."""
    if page == INDEX:
        return PurePosixPath(HOME)
    if page in PAGES or (page.startswith(DECISIONS) and not page.endswith(INDEX)):
        return PurePosixPath(page)
    notebook = PurePosixPath("docs") / page.replace(".md", ".ipynb")
    if (ROOT / notebook).exists():
        return notebook
    return PurePosixPath("docs") / page if (ROOT / "docs" / page).exists() else None


def _made_pages() -> Iterator[tuple[str, str]]:
    yield INDEX, (ROOT / HOME).read_text()
    for name in (*PAGES, *(f"{DECISIONS}/{path.name}" for path in _decisions())):
        yield name, (ROOT / name).read_text()
    rows = "".join(f"- [{_title(path)}]({path.name})\n" for path in _decisions())
    yield f"{DECISIONS}/{INDEX}", f"# Decisions\n\nWhat could reasonably be otherwise, and why it is so.\n\n{rows}"
    for path in _notebooks():
        yield site_place(path.relative_to(ROOT).as_posix()), _notebook_page(path)
    yield "reference/commands.md", commands_page()
    for name in REFERENCE:
        yield f"reference/{name}.md", reference_page(name)
    for name in sorted(_linked()):
        path = ROOT / name
        yield site_place(name), _folder_page(name) if path.is_dir() else _code_page(path, name)


@cache
def _linked() -> frozenset[str]:
    """Files and folders outside the site's own pages that some page links to, by their paths in the repository."""
    found = set()
    sources = [HOME, *PAGES, *(f"docs/{name}" for name in _pages_in_docs())]
    sources += [f"{DECISIONS}/{path.name}" for path in _decisions()]
    for name in sources:
        for match in LINK.finditer(FENCED.sub("", (ROOT / name).read_text())):
            target = match["target"]
            if target and "://" not in target and not target.startswith("mailto:"):
                found.add(normpath(str(PurePosixPath(name).parent / target)))
    return frozenset(name for name in found if (ROOT / name).exists() and site_place(name).startswith(f"{CODE}/"))


def _code_page(path: Path, name: str) -> str:
    if path.suffix not in {*LANGUAGES, ".txt", ".cff", ""} or path.stat().st_size > LARGEST:
        return f"# {name}\n\n{path.stat().st_size} bytes; not shown here.\n"
    text = path.read_text()
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"# {name}\n\n{fence}{LANGUAGES.get(path.suffix, 'text')}\n{text}\n{fence}\n"


def _notebook_page(path: Path) -> str:
    """Return a notebook's text and code, with a word on where to run it."""
    cells = json.loads(path.read_text())["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    parts = [
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell, text in zip(cells, texts, strict=True)
    ]
    note = f"This page is the notebook `{path.relative_to(ROOT)}`; its pictures come when it runs."
    return "\n\n".join([*parts, note])


def _folder_page(name: str) -> str:
    listed = subprocess.run(
        ["git", "ls-files", name], cwd=ROOT, capture_output=True, text=True, timeout=600, check=True
    ).stdout.splitlines()
    rows = [
        f"- [{row}]({relpath(site_place(row), f'{CODE}/{name}')})" if row in _linked() else f"- {row}" for row in listed
    ]
    return f"# {name}/\n\n" + "\n".join(rows) + "\n"


def _decisions() -> list[Path]:
    return sorted((ROOT / DECISIONS).glob("[0-9]*.md"))


def _pages_in_docs() -> list[str]:
    return sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))


def _notebooks() -> list[Path]:
    return sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def _title(path: Path) -> str:
    return path.read_text().splitlines()[0].removeprefix("# ")


def _pages_of(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for item in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        yield from _pages_of(item)
