"""The benchmark of the transport runs and says what a job costs."""

import re

import pytest

from tests.bench.transport import main


def test_benchmark_says_what_a_job_costs_on_either_side(capfd: pytest.CaptureFixture[str]) -> None:
    main(["--jobs", "5", "--mb", "0.1"])
    said = capfd.readouterr().out
    found = re.fullmatch(
        r"5 jobs of 0\.1 MB in and out: ([\d.]+) ms .* on the driver, ([\d.]+) on the node, [\d.]+ s in all\n", said
    )
    assert found is not None, said
    assert min(float(number) for number in found.groups()) > 0
