"""One rank of a training: `python -m infra.execution.train_process WORK LOGS`.

WORK is the pickled work of `infra.execution.torchrun`, LOGS the folder that takes `rank-R.log`.
"""

import os
import pickle
import sys
from pathlib import Path

from infra.execution.die_with_parent import die_with_parent
from infra.execution.worker_log import capture_output


def rank_log(folder: Path, rank: int) -> Path:
    """The file that takes what a rank prints."""
    return folder / f"rank-{rank}.log"


def main() -> None:
    """Do the work, with all output in the rank's own log, and end when torchrun does, which does not see to it."""
    work, logs = map(Path, sys.argv[1:])
    die_with_parent()
    capture_output(rank_log(logs, int(os.environ["RANK"])))
    pickle.loads(work.read_bytes())()  # noqa: S301  our own


if __name__ == "__main__":
    main()
