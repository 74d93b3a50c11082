"""One process of a training: `python -m infra.execution.train_process WORK`.

WORK is a file that `infra.execution.launchers` wrote.
"""

import os
import pickle
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Do the work; an exception also goes into a file of its own, because a launcher says much more after it."""
    job = Path(sys.argv[1])
    try:
        pickle.loads(job.read_bytes())()  # noqa: S301  our own
    except Exception:
        job.with_name(f"failed-{os.environ.get('RANK', '0')}.txt").write_text(traceback.format_exc())
        raise


if __name__ == "__main__":
    main()
