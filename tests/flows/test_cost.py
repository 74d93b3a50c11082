"""What a run costs, against hand calculations from the same rates."""

from functools import cache
from pathlib import Path

import pytest
import yaml

from flows.__main__ import main
from flows.cost import CostRow, Machines, count_costs, machines_of, num_objects
from flows.cost_table import longest, most_idle
from flows.params import load_params
from flows.pipeline import STAGES
from infra.profile import load_profile
from infra.rates import load_rates
from tests.project_copy import ROOT, write_profile

RATES = load_rates()
UNKNOWN = {"catalog", "select", "gso-eval", "baselines", "reconstruct", "evaluate"}
"""Stages whose hours no rate tells."""
LAPTOP = Machines(cores=2, cards=0, card="H100")
H100 = 989 * 0.35
"""TFLOP/s that an H100 is counted with: its peak and FlashAttention-2's share of it."""


def hours(row: CostRow) -> float:
    """Return the hours that the stage would take if all of its machines were at work all the time."""
    assert row.hours is not None
    return row.hours * row.busy


@cache
def costs(params: str, machines: Machines, profile: str = "laptop") -> dict[str, CostRow]:
    rows = count_costs(load_params(ROOT / params), machines, load_profile(profile), RATES)
    return {row.stage: row for row in rows}


@pytest.mark.slow(seconds=8)
def test_costs_of_the_laptop_are_those_by_hand() -> None:
    rows = costs("params.yaml", LAPTOP)
    assert list(rows) == [name for name in STAGES if name != "distil"]  # which is off
    assert {name for name, row in rows.items() if row.hours is None} == UNKNOWN
    assert rows["download"].hours == rows["download"].disk_gb == 0  # procedural objects are made here
    seconds_of_a_view = 0.05 + (2.3 - 0.05) / 16**2
    assert rows["render"].work == "396 views of 32 px"  # nine objects of 32 targets and 12 conditions
    assert rows["render"].hours == pytest.approx(9 * 44 * seconds_of_a_view / 2 / 3600)
    assert rows["train-stage1"].hours == pytest.approx(1600 * 0.001098940416 / (2 * 0.033) / 3600)
    assert rows["train-stage1"].disk_gb == pytest.approx(2_397_081 * (3 * 16 + 8) / 1e9)
    assert rows["encode"].disk_gb == pytest.approx(9 * (44 * 2 * 8 * 8 * 8 * 2 + 12 * 64 * 2) / 1e9)
    assert hours(rows["train-stage3"]) > hours(rows["train-stage2"]) > hours(rows["train-stage1"])
    assert rows["render"].busy == rows["train-stage3"].busy == rows["sample"].busy == 1  # one worker, one process


@pytest.mark.slow(seconds=3)
def test_costs_halve_with_twice_the_cards_and_cores_where_a_stage_spreads() -> None:
    few, many = (costs("params.yaml", Machines(cores=count, cards=count, card="H100")) for count in (2, 4))
    assert few["download"].hours == many["download"].hours  # one process
    for stage in few.keys() - {"download"} - UNKNOWN:
        assert hours(many[stage]) == pytest.approx(hours(few[stage]) / 2), stage
    assert [row.disk_gb for row in few.values()] == [row.disk_gb for row in many.values()]


@pytest.mark.slow(seconds=8)
@pytest.mark.parametrize(
    ("params", "machines", "objects", "seconds_of_a_view", "samples", "tflop"),
    [
        ("params/one_gpu.yaml", Machines(32, 1, "H100"), 40_000, 0.05 + 2.25 / 4, 256_000, 6.24067866624),
        ("params/node.yaml", Machines(128, 8, "H100"), 180_000, 0.05 + 2.25 / 4, 1_536_000, 6.24067866624),
        ("params/paper.yaml", Machines(512, 128, "H100"), 180_000, 2.3, 51_200_000, 47.28216612864),
    ],
)
def test_costs_of_one_card_a_node_and_the_paper_are_those_by_hand(
    params: str, machines: Machines, objects: int, seconds_of_a_view: float, samples: int, tflop: float
) -> None:
    rows = costs(params, machines)
    assert rows["download"].hours == pytest.approx(max(objects * 11.1 / 100, objects / 10) / 3600)
    assert rows["download"].disk_gb == pytest.approx(objects * 11.1e-3)
    assert hours(rows["render"]) == pytest.approx(objects * 42 * seconds_of_a_view / machines.cores / 3600)
    assert rows["train-stage1"].hours == pytest.approx(samples * tflop / (machines.cards * H100) / 3600)
    assert (rows["train-stage1"].cards, rows["encode"].cards, rows["render"].cards) == (
        machines.cards,
        machines.cards,
        0,
    )
    config = load_params(ROOT / params)
    latent = config.render.resolution // 8
    assert rows["encode"].disk_gb == pytest.approx(objects * (42 * 16 * latent**2 + 10 * 2 * 1024) / 1e9)
    # half of the samples of stage 3 have 2 to 10 condition views, on average twice the operations and more
    ratio = hours(rows["train-stage3"]) / hours(rows["train-stage2"])
    ratio /= config.train_stage3.loop.samples / config.train_stage2.loop.samples
    assert 1.3 < ratio < 1.7
    assert longest(list(rows.values())).startswith("train-stage3 takes longest")


@pytest.mark.slow(seconds=8)
def test_the_papers_run_keeps_128_cards_and_512_cores_busy_where_it_takes_long() -> None:
    machines = Machines(512, 128, "H100")
    rows = costs("params/paper.yaml", machines)
    assert rows["train-stage1"].busy == pytest.approx(1)
    assert rows["train-stage2"].busy == pytest.approx(1)
    assert 0.95 < rows["train-stage3"].busy < 1  # before communication
    assert rows["render"].busy > 0.99
    assert rows["encode"].busy == pytest.approx(-(-180_000 // 64) / (22 * 128))  # shards in 22 rounds
    assert rows["train-vae"].busy == 0.5  # a batch of 64
    assert rows["render-test"].busy == pytest.approx(30 / 256)
    assert [name for name, row in rows.items() if row.cores == 1] == ["catalog", "select", "download"]
    said = list(most_idle(list(rows.values()), machines))
    assert said[0].startswith("download leaves most core hours idle")
    assert said[1].startswith("train-stage3 leaves most card hours idle")
    assert "what helps: a larger loop.batch_size" in said[1]


@pytest.mark.slow(seconds=8)
def test_costs_of_a_distillation_are_those_of_its_samples_and_of_few_steps(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["distil"]["steps"] = 4
    content["distil"]["loop"]["samples"] = 2 * content["train_stage3"]["loop"]["samples"]
    content["sample"] |= {"stages": ["distilled"], "steps": 20}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    rows = costs(str(path), LAPTOP)
    assert list(rows) == list(STAGES)
    assert hours(rows["distil"]) == pytest.approx(2 * 5 / 3 * hours(rows["train-stage3"]))
    content["sample"] |= {"stages": ["stage3"], "steps": 4}
    path.write_text(yaml.safe_dump(content))
    assert count_costs(load_params(path), LAPTOP, load_profile("laptop"), RATES)[-3].hours == pytest.approx(
        rows["sample"].hours
    )
    assert "distil" not in costs("params.yaml", LAPTOP)


@pytest.mark.slow(seconds=3)
def test_money_is_counted_where_all_prices_are_known(tmp_path: Path) -> None:
    machines = Machines(cores=4, cards=2, card="A100")
    free = costs("params.yaml", machines)
    assert {row.money for row in free.values()} == {None}
    some = write_profile(tmp_path / "some.yaml", "laptop", price_gpu_hour=2.0)
    assert {row.money for row in costs("params.yaml", machines, str(some)).values()} == {None}
    path = write_profile(tmp_path / "all.yaml", "laptop", price_gpu_hour=2.0, price_core_hour=0.05, price_gb_month=0.0)
    rows = costs("params.yaml", machines, str(path))
    for stage, price in (("train-stage3", 2 * 2.0), ("sample", 2 * 2.0), ("render", 4 * 0.05)):
        row = rows[stage]
        assert row.money == pytest.approx((row.hours or 0.0) * price)
    assert rows["reconstruct"].money is None
    path = write_profile(
        tmp_path / "disk.yaml", "laptop", price_gpu_hour=0.0, price_core_hour=0.0, price_gb_month=730.0
    )
    rows = costs("params.yaml", machines, str(path))
    assert rows["sample"].money == pytest.approx(rows["sample"].disk_gb * (rows["sample"].hours or 0.0))


def test_folder_without_a_limit_has_no_cost(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["catalog"]["source"] = "folder"
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=r"source is folder and neither select.max_objects nor .*set one of them"):
        num_objects(load_params(path), RATES)
    content["select"]["max_objects"] = 7
    path.write_text(yaml.safe_dump(content))
    assert num_objects(load_params(path), RATES) == 7


@pytest.mark.slow(seconds=3)
def test_quality_and_card_without_a_rate_are_refused(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["render"]["quality"] = {"samples": 64, "noise_threshold": 0, "denoise": "high", "max_bounces": 4}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=r"quality is .*samples=64.* not measured; write draft, standard, reference"):
        count_costs(load_params(path), LAPTOP, load_profile("laptop"), RATES)
    with pytest.raises(ValueError, match=r"card is 'abacus', whose peak is not known; write H200, H100"):
        costs("params.yaml", Machines(2, 1, "abacus"))


def test_machines_are_the_profiles_or_those_given() -> None:
    cluster = load_profile("cluster")
    assert machines_of(cluster) == Machines(cores=512, cards=128, card="H100")
    assert machines_of(cluster, cores=8, cards=0) == Machines(cores=8, cards=0, card="H100")
    assert machines_of(load_profile("ci")) == Machines(cores=4, cards=0, card="H100")
    assert machines_of(load_profile("workstation")).cards >= 1


@pytest.mark.slow(seconds=3)
def test_plan_with_cost_prints_table_totals_and_origins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    words = ["plan", "--cost", "--params", str(ROOT / "params.yaml"), "--cores", "2", "--cards", "0"]
    monkeypatch.setenv("MVDPP_PROFILE", "laptop")
    assert main(words) == 0
    said = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in said.splitlines() if line.strip()}
    assert rows["total"][1:] == ["0.11", "0.44"]
    assert rows["stage"] == ["stage", "work", "on", "busy,", "%", "hours", "disk,", "GB"]
    assert "train-stage3 takes longest: 0.06 of 0.11 hours." in said
    assert rows["download_mb_per_second"][1:] == ["100", "MB/s", "assumed", "a", "line", "of", "1", "Gbit/s"]
    prices = {"price_gpu_hour": 2.0, "price_core_hour": 0.05, "price_gb_month": 0.02}
    monkeypatch.setenv("MVDPP_PROFILE", str(write_profile(tmp_path / "mine.yaml", "laptop", **prices)))
    assert main(words) == 0
    assert "money" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plan", "render", "--cost"], "--cost counts the whole run; leave render out"),
        (["plan", "--cards", "8"], "--params, --cores and --cards say what --cost counts with; add --cost"),
        (["plan", "--cost", "--params", "no.yaml"], "no.yaml does not exist"),
    ],
)
def test_plan_with_cost_of_what_it_cannot_count_is_a_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(words) == 2
    assert sentence in capsys.readouterr().err
