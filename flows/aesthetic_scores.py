"""The verb `aesthetic-scores`: joins a view set or catalog, the predictor and the profile's workers."""

from collections.abc import Callable
from pathlib import Path

from flows.wiring import Hub, Workload, open_tools
from infra.profile import load_profile
from infra.tracking import Untracked
from tasks.commands.aesthetic.options import AestheticOptions
from tasks.commands.aesthetic.scores import OBJECTS_PER_JOB, check_options, write_scores


def aesthetic_scores(
    options: AestheticOptions, root: Path, profile_name: str, hub: Hub, say: Callable[[str], None]
) -> None:
    """Score objects by their images and write the table that the options name.

    Raises ValueError for a mistake in what was asked, and as `write_scores` does.
    """
    check_options(options)
    workload = Workload(whole_cards=True, objects_per_job=OBJECTS_PER_JOB)
    profile = load_profile(profile_name)
    with open_tools("aesthetic-scores", profile, Untracked(), root, hub, workload) as tools:
        held = write_scores(options, tools)
    say(f"{options.out}: {held}; for the catalog: --set catalog.scores={options.out}")
