"""The verb `look`: joins the folder, the parameters and the profile's workers."""

from collections.abc import Callable
from pathlib import Path

from flows.params import Params, load_params
from flows.pipeline import WORK
from flows.wiring import open_pool
from infra.profile import load_profile, resolve
from render.axes import UpAxis, parse_up_axis
from render.device import Machine
from tasks.commands.look import look_at_folder
from tasks.commands.look_options import LookOptions


def look(options: LookOptions, root: Path, profile_name: str, say: Callable[[str], None]) -> None:
    """Show some objects of a folder as params.yaml in `root` would have them normalized and rendered.

    Raises ValueError for a mistake in what was asked.
    """
    params = load_params(root / "params.yaml")
    up_axis = up_axis_for(options, params)
    profile = load_profile(profile_name)
    resources = resolve(profile)
    work = root / WORK / "look"
    with open_pool(profile, resources, work / "logs") as pool:
        machine = Machine(resources.threads_each(pool.num_workers), profile.render_device)
        for line in look_at_folder(options, up_axis, params.normalize, params.render, pool, machine, work):
            say(line)


def up_axis_for(options: LookOptions, params: Params) -> UpAxis | None:
    """Return the axis that was asked for, or that the catalog would take for the same folder."""
    if options.up_axis is not None:
        return parse_up_axis(options.up_axis)
    is_catalog = params.catalog.source == "folder" and same_folder(params.catalog.folder, options.folder)
    return params.catalog.up_axis if is_catalog else None


def same_folder(catalog: str, folder: Path) -> bool:
    """Tell whether the catalog's folder is the one to look at."""
    return Path(catalog).expanduser().resolve() == folder.expanduser().resolve()
