"""What a download needs beside what the disk has."""

import re
import shutil
from pathlib import Path

import pytest

from tasks.sources.disk_budget import MIN_MEASURED, DiskBudget


def make(tmp_path: Path, num: int, *, sizes: dict[str, int], measured: list[int], reserve: int = 0) -> DiskBudget:
    return DiskBudget([str(index) for index in range(num)], tmp_path, reserve, sizes=sizes, measured=measured)


def test_known_sizes_are_added_up_and_taken_off_as_objects_end(tmp_path: Path) -> None:
    budget = make(tmp_path, 3, sizes={"0": 5, "1": 7, "2": 9, "elsewhere": 100}, measured=[])
    assert budget.is_exact
    assert budget.to_come == 21
    budget.count("1", 8)
    budget.count("2", 0)
    assert budget.to_come == 5


def test_unknown_sizes_are_the_mean_of_what_has_come(tmp_path: Path) -> None:
    budget = make(tmp_path, 100, sizes={"0": 1000}, measured=[])
    for index in range(1, MIN_MEASURED):
        budget.count(str(index), 10)
        assert budget.to_come is None
    budget.count(str(MIN_MEASURED), 30)
    assert budget.to_come == 1000 + (99 - MIN_MEASURED) * 11
    assert not budget.is_exact


def test_objects_of_an_earlier_run_and_known_sizes_tell_the_mean_too(tmp_path: Path) -> None:
    assert make(tmp_path, 10, sizes={}, measured=[4] * MIN_MEASURED).to_come == 40
    sizes = {str(index): 6 for index in range(MIN_MEASURED)}
    assert make(tmp_path, MIN_MEASURED + 1, sizes=sizes, measured=[]).to_come == 6 * (MIN_MEASURED + 1)


def test_shortage_names_every_number_and_the_remedy(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert make(tmp_path, 1, sizes={"0": 1}, measured=[]).shortage() is None
    needed = free + 5 * 10**9
    said = make(tmp_path, 1, sizes={"0": needed}, measured=[], reserve=2 * 10**9).shortage()
    assert said is not None
    pattern = (
        rf"(.+ GB) are still to come, but (.+ GB) are free under {re.escape(str(tmp_path))}, of which 2 GB stay in "
        r"reserve \(disk_reserve_gb in the profile\): free (.+) GB, or lower select\.max_objects"
    )
    found = re.fullmatch(pattern, said)
    assert found
    assert float(found[3].replace(",", "")) == pytest.approx(7, abs=1)
    assert make(tmp_path, 0, sizes={}, measured=[], reserve=needed).shortage() is None
    guess = make(tmp_path, 2, sizes={}, measured=[needed] * MIN_MEASURED).shortage()
    assert guess is not None
    assert guess.startswith("about ")
