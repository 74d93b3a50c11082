"""A strict reading of a page: every element is closed in order, ids are unique, paragraphs hold no blocks."""

from html.parser import HTMLParser

VOID = {"img", "input", "meta"}
BLOCKS = {"article", "details", "div", "figure", "h1", "h2", "h3", "ol", "p", "pre", "section", "table", "ul"}


class StrictPage(HTMLParser):
    """Raises AssertionError where the page is not valid; afterwards holds what the page refers to and shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: dict[str, str] = {}
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.styles = ""
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        assert len(self.ids) == len(set(self.ids)), f"not unique: {sorted(self.ids)}"

    @property
    def text(self) -> str:
        """All visible words, single spaces between them."""
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not (tag in BLOCKS and "p" in self.open), f"<{tag}> inside a paragraph at {self.getpos()}"
        values = dict(attrs)
        assert len(values) == len(attrs), f"an attribute stands twice at {self.getpos()}"
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag == "img":
            assert values["src"]
            assert values["alt"], f"no alternative text at {self.getpos()}"
            self.images[values["src"]] = values["alt"]
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a beginning at {self.getpos()}"
        assert self.open.pop() == tag, f"</{tag}> out of order at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" in self.open:
            self.styles += data
        else:
            self.words.append(data)

    def missing_targets(self) -> list[str]:
        """Links that lead to no element of the page, and that the page does not hold itself."""
        return [
            link for link in self.links if not (link[1:] in self.ids if link[0] == "#" else link.startswith("data:"))
        ]
