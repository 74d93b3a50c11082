"""The site builds without a warning, needs nothing from elsewhere, and its links lead somewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import pytest
import typer.main
import yaml

from flows import __main__ as _verbs  # noqa: F401 (adds the verbs)
from flows.app import app
from tests.doc_links import pages
from tests.project_copy import ROOT
from tests.site.hooks import on_config, site_place

LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
"""What a browser fetches by itself, by tag."""


class Contents(HTMLParser):
    """Ids, links and fetched files of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given:
            self.fetched.append(given[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    words = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def contents(site: Path) -> dict[str, Contents]:
    found = {}
    for path in site.rglob("*.html"):
        found[path.relative_to(site).as_posix()] = page = Contents()
        page.feed(path.read_text())
    return found


@pytest.mark.slow
def test_site_fetches_nothing_from_elsewhere(site: Path, contents: dict[str, Contents]) -> None:
    fetched = {(name, url) for name, page in contents.items() for url in page.fetched if name != "404.html"}
    assert len(fetched) > 100
    assert not [(name, url) for name, url in fetched if urlsplit(url).scheme not in ("", "data")]
    files = {(name, url): (site / name).parent.joinpath(unquote(urlsplit(url).path)) for name, url in fetched}
    assert not [place for place, file in files.items() if not file.exists()]
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.findall(r"(?:url\(|@import\s*)['\"]?(?:https?:)?//[^)]*", styles)


@pytest.mark.slow
def test_links_of_the_site_lead_to_pages_and_anchors_that_are_there(site: Path, contents: dict[str, Contents]) -> None:
    there = {path.relative_to(site).as_posix() for path in site.rglob("*")} | {"."}
    lost = []
    for name, page in contents.items():
        for link in set(page.links):
            parts = urlsplit(link)
            if parts.scheme or name == "404.html":
                continue
            target = normpath(f"{Path(name).parent.as_posix()}/{unquote(parts.path)}") if parts.path else name
            if target not in there or (parts.fragment and unquote(parts.fragment) not in contents[target].ids):
                lost.append(f"{name} -> {link}")
    assert not lost, "\n".join(lost[:20])


@pytest.mark.slow
def test_site_shows_every_page_verb_and_line_of_code_that_is_linked(contents: dict[str, Contents]) -> None:
    shown = {site_place(page.relative_to(ROOT).as_posix()) for page in pages() if page.parent.name != "ISSUE_TEMPLATE"}
    of_the_site = {name for name in shown if not name.startswith("code/")}
    assert len(of_the_site) > 50
    assert not [name for name in of_the_site if name.replace(".md", ".html") not in contents]
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {name for name, verb in verbs.items() if not verb.hidden} <= contents["reference/commands.html"].ids
    lines = [link for link in contents["walkthrough.html"].links if "#L-0-" in link]
    assert len(lines) > 40


def test_page_that_nobody_has_placed_is_added_to_the_navigation(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.site import hooks

    config = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=yaml.SafeLoader)
    monkeypatch.setattr(hooks, "_pages_in_docs", lambda: ["photos.md", "brand-new.md"])
    made = on_config(type("Config", (), {"nav": config["nav"]})())
    assert made.nav is not None
    assert made.nav[-1] == {"More": ["brand-new.md"]}
