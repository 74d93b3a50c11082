"""Serves the data browser until a signal comes."""

import time
from collections.abc import Callable
from contextlib import suppress

from infra.execution.processes import signals_raise
from tasks.commands.browse.app import Data, build_browser
from tasks.commands.browse.options import BrowseOptions
from tasks.commands.web_server import serving


def browse(options: BrowseOptions, say: Callable[[str], None]) -> None:
    """Serve the data browser until a signal comes.

    Args:
        options: Of the command line.
        say: Receives what the user should read.

    Raises:
        ValueError: There is no data, or the port cannot be had.
    """
    data = Data(options.data)
    with (
        signals_raise(),
        suppress(KeyboardInterrupt, SystemExit),
        serving(build_browser(data, options.host), options.host, options.port) as address,
    ):
        say(f"{len(data.now()[0].table):,} objects: {address}\nCtrl-C ends it.")
        while True:
            time.sleep(3600)
