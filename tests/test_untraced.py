"""What coverage notes while code of others runs, in a process that has a tracer of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.project_copy import ROOT

OURS = """
import sys
def parse(tracers):
    tracers.append(sys.gettrace())
    import yaml
    yaml.add_constructor("!note", lambda *_: tracers.append(sys.gettrace()), yaml.SafeLoader)
    yaml.safe_load("!note")
    tracers.append(sys.gettrace())
    return tracers
"""
MEASURE = """
import coverage
from tests import untraced
measured = coverage.Coverage(include=["*/ours.py"], data_file=None)
measured.start()
untraced.install()
import ours
before, inside, after = ours.parse([])
measured.stop()
assert before is after is not None
assert inside is None
print(*sorted(measured.get_data().lines(ours.__file__)))
"""


def test_code_of_others_runs_untraced_and_every_line_of_ours_around_it_is_noted(tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text(OURS.lstrip())
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(line) for line in range(1, 9)]
