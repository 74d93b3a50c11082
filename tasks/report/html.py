"""HTML as values: text is escaped unless it already is markup. Knows nothing of the report."""

from collections.abc import Iterable, Sequence
from html import escape

from tasks.report.style import STYLE

VOID = frozenset({"img", "meta", "link", "br"})


class Html(str):
    """Markup that is safe to insert."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | int) -> Html:
    """An element; children that are not Html are escaped. `class_` becomes class, other underscores hyphens."""
    words = [f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items()]
    opening = f"<{name}{''.join(words)}>"
    return Html(opening if name in VOID else f"{opening}{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Html:
    """Markup one after another; plain text among it is escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, class_: str = "") -> Html:
    """A table that scrolls by itself on narrow screens. The first column is text, the others are numbers."""
    header = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    return tag("div", tag("table", tag("thead", header), tag("tbody", *body), class_=class_), class_="scroll")


def section(anchor: str, title: str, lead: str, *content: str) -> Html:
    """A titled part of the page."""
    return tag("section", tag("h2", title), tag("p", lead, class_="lead"), *content, id=anchor)


def fold(summary: str, *content: str) -> Html:
    """Content that a click opens."""
    return tag("details", tag("summary", summary), *content)


def page(title: str, *body: str) -> Html:
    """A whole document with its style inside."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    return Html(f"<!doctype html>\n{tag('html', head, tag('body', *body), lang='en')}\n")
