"""The command line: `python -m flows VERB`."""

import io
import sys
from collections.abc import Sequence

from typer import TyperException

from flows.app import PROGRAM, app
from flows.options import sentence_of
from flows.verbs import data, faces, models, pipeline, services, views  # noqa: F401 (they add their verbs)


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code.

    0: done. 1: a stage or check failed. 2: a mistake in what was asked, said in a sentence on stderr. 130: Ctrl-C.
    """
    try:
        return int(app(args=words, prog_name=PROGRAM, standalone_mode=False) or 0)
    except TyperException as mistake:
        print(sentence_of(mistake, PROGRAM), file=sys.stderr)
        return 2
    except (ValueError, RuntimeError, ConnectionError) as error:
        print(error, file=sys.stderr)
        return 2


def run() -> int:
    """Run the verb of this process; what its output cannot show, as in names that are no text, is escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does
    return main()


if __name__ == "__main__":
    sys.exit(run())
