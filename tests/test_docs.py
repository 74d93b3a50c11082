"""The pages: every link leads somewhere, and a link to a line leads to the definition that it names."""

import re
from pathlib import Path

import pytest

from tests.doc_links import WALKTHROUGH, line_of, links, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_page_links_only_to_what_exists(page: Path) -> None:
    missing = [link.target for link in links(page) if not link.target.exists()]
    assert not missing


def test_walkthrough_links_to_the_lines_it_names() -> None:
    to_lines = [link for link in links(WALKTHROUGH) if link.anchor.startswith("L")]
    assert len(to_lines) > 40
    wrong = [
        f"{link.text}: {link.target.name}#{link.anchor}, is at {line_of(link.name, link.target)}"
        for link in to_lines
        if link.anchor != f"L{line_of(link.name, link.target)}"
    ]
    assert not wrong, "python -m tests.doc_links renumbers them"


def test_walkthrough_is_two_pages_at_most() -> None:
    words = re.sub(r"\]\([^)]*\)", "]", WALKTHROUGH.read_text()).split()
    assert len(words) < 1200
