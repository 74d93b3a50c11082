"""Verbs about models in MLflow's registry."""

# A verb imports what it needs when it runs: with torch, MLflow, DVC, Prefect and pydantic at the top, `--help` and a
# mistyped verb would take ten seconds instead of a quarter of one.

from pathlib import Path

from flows.app import app, say
from flows.environment import profile_name
from flows.options import with_options
from flows.promote_options import PromoteOptions


@app.command()
@with_options(PromoteOptions)
def promote(options: PromoteOptions) -> int:
    """Register a model and move @champion to it if it was measured to be better. Exit code 1: it was not."""
    from flows.promote import promote as promote_model

    return 0 if promote_model(options, Path.cwd(), profile_name(), say) else 1
