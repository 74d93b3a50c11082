"""Runs the tests where they fail first: beside busy loops, and with other instruction sets of the processor.

`python -m tests.bench.hardship --busy-loops 4 --runs 3 --capabilities native default avx2 -- -n 2 ...` runs them so
many times with each capability; what follows `--` are pytest's arguments. A line per run; ends with 1 if any failed.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from infra.execution.die_with_parent import tied

BUSY = "while True: pass"
CAPABILITY = "ATEN_CPU_CAPABILITY"


@contextmanager
def busy_loops(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep `count` processes busy; they end with this block, and with this process."""
    loops = [subprocess.Popen(tied([sys.executable, "-c", BUSY])) for _ in range(count)]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()


def run(capability: str, words: Sequence[str]) -> tuple[int, float]:
    """Run pytest with the kernels of one capability of ATen; return its exit code and the seconds it took."""
    env = {name: value for name, value in os.environ.items() if name != CAPABILITY}
    env |= {} if capability == "native" else {CAPABILITY: capability}
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "pytest", *words], env=env, check=False)
    return done.returncode, time.monotonic() - start


def main(words: Sequence[str] | None = None) -> int:
    """Run the tests as often as asked; return 1 if any run failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hardship", description=__doc__)
    parser.add_argument("--busy-loops", type=int, default=4)
    parser.add_argument("--runs", type=int, default=1, help="of each capability")
    parser.add_argument("--capabilities", nargs="+", default=["native"], help="native, default, avx2, avx512")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, after --")
    options = parser.parse_args(words)
    rows = []
    with busy_loops(options.busy_loops):
        for capability in options.capabilities:
            for number in range(1, options.runs + 1):
                code, seconds = run(capability, options.pytest)
                rows.append((capability, number, code, seconds))
    for capability, number, code, seconds in rows:
        verdict = "passed" if code == 0 else f"failed with code {code}"
        sys.stdout.write(f"{capability}, run {number} of {options.runs}: {verdict} in {seconds:.0f} s\n")
    return int(any(code for _, _, code, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
