"""For all tests: threads of OpenMP do not spin while they wait, as in a stage's process (flows/__main__.py)."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
