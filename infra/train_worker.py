"""One process of a training: `python -m infra.train_worker WORK`, WORK being a file that `infra.trainers` wrote."""

import ctypes
import os
import pickle
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Do the work; when the process that started it dies, SIGTERM lets it finish its step and save."""
    parent = os.environ.get("MVDPP_PARENT")
    if parent is not None and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):
            raise SystemExit("the process that started this one is gone")
    pickle.loads(Path(sys.argv[1]).read_bytes())()  # noqa: S301  our own


if __name__ == "__main__":
    main()
