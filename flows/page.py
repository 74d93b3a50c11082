"""Serves the page for photos until a signal comes."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from flows.inference import inference_compute
from flows.models import resolve_model
from infra.execution.process_folder import ProcessFolder
from infra.execution.processes import signals_raise
from tasks.commands.page.drawing import Drawer
from tasks.commands.page.options import PageOptions

MODELS = Path("models_out")


def page(options: PageOptions, root: Path, profile: str, say: Callable[[str], None]) -> None:
    """Serve the page until a signal comes.

    Args:
        options: Of the command line.
        root: The checkout, whose models are offered.
        profile: Name or file of the profile that says how the networks compute.
        say: Receives what the user should read.

    Raises:
        ValueError: Gradio is not installed, the model is none, or the port cannot be had.
    """
    try:
        from tasks.commands.page.app import served_page  # it is optional, and takes seconds
    except ModuleNotFoundError as error:
        raise ValueError(f"the page needs {error.name}: pip install 'mvdiffusion-pp[pages]'") from error
    resolve = partial(resolve_model, root=root, profile_name=profile)
    if options.model is not None:
        resolve(options.model)
    models = [*([options.model] if options.model else []), *saved_models(root)]
    drawer = Drawer(inference_compute(profile, options.device), resolve)
    with signals_raise(), suppress(KeyboardInterrupt, SystemExit), ExitStack() as stack:
        visitors = ProcessFolder(Path(tempfile.gettempdir()))  # the next page removes it if this one is killed
        stack.callback(visitors.remove)
        address = stack.enter_context(served_page(options, drawer, models, visitors.temporary))
        say(f"photos to views: {address}\nCtrl-C ends it.")
        while True:
            time.sleep(3600)


def saved_models(root: Path) -> list[str]:
    """Return the saved pipelines of a checkout, the newest first."""
    found = [path.parent for path in (root / MODELS).glob("*/model_index.json")]
    found.sort(key=lambda folder: (folder / "model_index.json").stat().st_mtime, reverse=True)
    return [str(folder.relative_to(root)) for folder in found]
