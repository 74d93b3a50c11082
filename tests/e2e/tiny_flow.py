"""A flow over any DVC project: `python -m tests.e2e.tiny_flow ROOT TARGET [--force]` prints how each stage ended.

With `--promote` it ends with a promotion.
"""

import json
import sys
from pathlib import Path
from typing import Any

from prefect import flow

from flows.checkout_lock import only_run
from flows.orchestrate import promote, walk


@flow(name="tiny")
def tiny(root: str, target: str, force: bool, promotes: bool) -> list[Any]:
    with only_run(Path(root)):
        states = walk(Path(root), target, force=force)
    if promotes:
        promote(Path(root))
    return states


if __name__ == "__main__":
    outcome = tiny(sys.argv[1], sys.argv[2], "--force" in sys.argv, "--promote" in sys.argv, return_state=True)
    states = outcome.result(raise_on_failure=False)
    rows = [[state.name, state.message] for state in states] if isinstance(states, list) else [[str(states), ""]]
    sys.stdout.write(f"STATES {json.dumps([outcome.name, rows])}\n")
