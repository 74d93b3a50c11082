"""The benchmark of aesthetic scores runs."""

import re

import pytest

from tests.bench.aesthetic import main


def test_bench_aesthetic_measures_reading_and_networks(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--images", "3", "--batch", "2", "--side", "64", "--width", "small"])
    said = re.fullmatch(
        r"3 images of 64 px, cpu, fp32: reading (\S+) s an image, networks (\S+) s, (\S+) images a second\n",
        capsys.readouterr().out,
    )
    assert said is not None
    read, score, rate = map(float, said.groups())
    assert rate == pytest.approx(1 / (read + score), rel=0.2)
