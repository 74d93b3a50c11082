"""Names of the objects that test sets from outside show, which no training may see."""

from pathlib import Path

from tasks.config import GsoEvalConfig, RenderTestConfig
from tasks.sources.folder import find_objects
from tasks.sources.gso_layout import find_gso_objects


def tested_uids(render_test: RenderTestConfig, gso_eval: GsoEvalConfig) -> set[str]:
    """Return the uids of the objects in `render_test.folder`, where that is a source, and in `gso_eval.folder`."""
    uids = set(find_gso_objects(Path(gso_eval.folder).expanduser()))
    if render_test.source == "folder":
        uids |= find_objects(Path(render_test.folder).expanduser()).objects.keys()
    return uids
