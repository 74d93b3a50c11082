"""Links of the Markdown files: what they point at, and the line numbers that they should have.

`python -m tests.doc_links` writes the right line numbers into docs/walkthrough.md after code has moved.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.project_copy import ROOT

WALKTHROUGH = ROOT / "docs" / "walkthrough.md"
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")


@dataclass(frozen=True)
class Link:
    """One relative link of a page."""

    page: Path
    text: str
    target: Path
    anchor: str

    @property
    def name(self) -> str:
        """The identifier that a link to a line is about: its text without backticks, call marks and class."""
        return self.text.strip("`").removesuffix("()").rpartition(".")[2]


def pages() -> list[Path]:
    """Every Markdown file of the project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def links(page: Path) -> Iterator[Link]:
    """The relative links of a page, code blocks left out."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for match in LINK.finditer(text):
        if "://" not in match["target"] and not match["target"].startswith("mailto:"):
            target = (page.parent / match["target"]).resolve() if match["target"] else page
            yield Link(page, match["text"], target, match["anchor"] or "")


def line_of(name: str, path: Path) -> int | None:
    """The line where `name` is defined in a Python file, or first stands as a key in another; None where it is not."""
    text = path.read_text()
    if path.suffix != ".py":
        return next((number for number, line in enumerate(text.splitlines(), 1) if f"{name}:" in line), None)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node.lineno
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            return node.lineno
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return node.lineno
    return None


def renumbered(page: Path) -> str:
    """The page with the right number in each link to a line."""

    def right(match: re.Match[str]) -> str:
        if not (match["anchor"] or "").startswith("L"):
            return match[0]
        link = Link(page, match["text"], (page.parent / match["target"]).resolve(), match["anchor"])
        return f"[{match['text']}]({match['target']}#L{line_of(link.name, link.target)})"

    return LINK.sub(right, page.read_text())


if __name__ == "__main__":
    WALKTHROUGH.write_text(renumbered(WALKTHROUGH))
