"""Names of the objects that test sets from outside show, which no training may see."""

from pathlib import Path

from tasks.config import GsoEvalConfig, RenderTestConfig
from tasks.sources.folder import find_objects
from tasks.sources.gso_layout import find_gso_objects


def tested_uids(render_test: RenderTestConfig | None, gso_eval: GsoEvalConfig | None) -> set[str]:
    """Return the uids of the objects in `render_test.folder`, where that is a source, and in `gso_eval.folder`."""
    uids: set[str] = set()
    if gso_eval is not None:
        uids |= find_gso_objects(Path(gso_eval.folder).expanduser()).keys()
    if render_test is not None and render_test.source == "folder":
        uids |= find_objects(Path(render_test.folder).expanduser()).objects.keys()
    return uids
