"""Verbs with a face: the page for photos, the data browser, and the service that draws over HTTP."""

# A verb imports what it needs when it runs: with torch, Ray and Gradio at the top, `--help` and a mistyped verb would
# take ten seconds instead of a quarter of one.

from pathlib import Path

from flows.app import app, say
from flows.environment import profile_name
from flows.options import with_options
from tasks.commands.browse.options import BrowseOptions
from tasks.commands.page.options import PageOptions
from tasks.commands.service.options import ServiceOptions


@app.command()
@with_options(PageOptions)
def page(options: PageOptions) -> int:
    """Serve a page where photos are dropped and views and a mesh come out, until Ctrl-C (docs/pages.md)."""
    from flows.page import page as serve_page

    serve_page(options, Path.cwd(), profile_name(), say)
    return 0


@app.command()
@with_options(BrowseOptions)
def browse(options: BrowseOptions) -> int:
    """Serve a browser of the data until Ctrl-C: search, failures, contact sheets, licences (docs/pages.md)."""
    from flows.browse import browse as serve_browser

    serve_browser(options, say)
    return 0


@app.command()
@with_options(ServiceOptions)
def serve_model(options: ServiceOptions) -> int:
    """Serve a model over HTTP until Ctrl-C: photos in, views and a mesh out, in batches (docs/pages.md)."""
    from flows.serve_model import serve_model as serve_views

    serve_views(options, profile_name(), say)
    return 0
