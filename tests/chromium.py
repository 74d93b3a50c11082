"""A headless Chromium that drives pages in tests: the distribution's, since Playwright's own is never downloaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

from infra.setup.browser import NAMES, found

FLAGS = (
    "--no-sandbox",  # which root cannot have
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
)
PATIENCE_MS = 120_000


class Visitor:
    """A browser's page that remembers what it asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    @property
    def strangers(self) -> list[str]:
        """Addresses beyond this machine that were asked for."""
        places = [(url, urlsplit(url)) for url in self.requests]
        return [
            url for url, at in places if at.scheme not in ("data", "blob") and at.hostname not in ("127.0.0.1", None)
        ]


@contextmanager
def visitor() -> Iterator[Visitor]:
    """Open a browser with one empty page; the test is skipped where there is none."""
    program = found()
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed, which drives the pages: `make browser` on Debian")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield Visitor(browser.new_page(viewport={"width": 1280, "height": 1000}))
        finally:
            browser.close()
