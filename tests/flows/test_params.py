import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.params import Params, load_params
from models.config import NoiseConfig
from models.network.noise import Diffusion

ROOT = Path(__file__).parents[2]


def changed(folder: Path, key: str, value: Any) -> Path:
    """A copy of params.yaml in which the dotted `key` is `value`."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    *outer, last = key.split(".")
    section = content
    for name in outer:
        section = section[name]
    section[last] = value
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("render.condtions", 4, r"render.condtions: no such key; check the spelling"),
        ("rendr", {}, r"rendr: no such key; check the spelling"),
        ("select.min_score", 50, r"select.min_score: Input should be less than or equal to 10 \(got 50\)"),
        ("render.resolution", 65, r"render.resolution: Input should be a multiple of 8 \(got 65\)"),
        ("seed", "zero", r"seed: Input should be a valid integer.* \(got 'zero'\)"),
        ("reconstruct.method", "magic", r"reconstruct.method: Input should be 'hull' or 'sdf' \(got 'magic'\)"),
        ("reconstruct.quality", "best", r"reconstruct.quality: .*'best' is no quality; write draft, standard, paper"),
        ("reconstruct.vote", 1.5, r"reconstruct: .*vote is 1.5; give a share of the views above 0"),
    ],
)
def test_params_with_a_mistake_name_key_value_and_bound(tmp_path: Path, key: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_params(changed(tmp_path, key, value))


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("train_stage2.kept_targets", 33, r"train_stage2.kept_targets is 33; render makes only 32 targets"),
        ("train_stage3.multi_conditions", [2, 11], r"stage3.multi_conditions is 2 to 11; it must rise, up to unet.max"),
        ("train_stage3.multi_conditions", [4, 2], r"train_stage3.multi_conditions is 4 to 2; it must rise"),
        ("render.conditions", 3, r"train_stage3.multi_conditions goes to 4; render.conditions is 3"),
        (
            "train_stage1.noise.zero_terminal_snr",
            True,
            r"train_stage1.noise: zero_terminal_snr is true .* use v_prediction$",
        ),
        (
            "train_stage1.unet.global_attention",
            ["all"],
            r"global_attention names 1 spans, but block_out_channels 2 levels",
        ),
        ("train_stage1.unet.timestep_map", "pretrained", r"timestep_map is pretrained and pretrained is null"),
        ("distil.steps", 3, r"distil.steps is 3, which does not divide teacher_steps, 40; write a divisor"),
        ("sample.stages", ["distilled"], r"sample.stages names distilled and distil.steps is null"),
        ("train_stage1.unet", None, r"train_stage1.unet is null; stage 1 builds the network"),
        ("baselines.conditions", [5], r"baselines.conditions goes to 5; render_test.conditions is 4"),
        ("sample.conditions", [1, 5], r"sample.conditions goes to 5; render_test.conditions is 4"),
        ("sample.stages", ["stage1", "stage1"], r"sample.stages names a stage twice"),
        ("render_test.ring_elevation_deg", 20, r"ring_elevation_deg is 20, which is none of render.elevations_deg"),
    ],
)
def test_params_whose_sections_disagree_name_both(tmp_path: Path, key: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_params(changed(tmp_path, key, value))


def test_params_that_fit_baselines_by_volume_rendering_need_a_method_that_does(tmp_path: Path) -> None:
    path = changed(tmp_path, "reconstruct.method", "hull")
    load_params(path)
    path.write_text(path.read_text().replace("- upper-bound", "- sfm"))
    with pytest.raises(ValueError, match=r"baselines.methods has sfm, .* but reconstruct.method is hull: set"):
        load_params(path)


def test_params_with_a_map_of_timesteps_keep_one_schedule(tmp_path: Path) -> None:
    path = changed(tmp_path, "train_stage2.noise.beta_schedule", "scaled_linear")
    load_params(path)
    sentence = r"train_stage2.noise.beta_schedule is scaled_linear and train_stage1.noise.beta_schedule linear, but"
    content = yaml.safe_load(path.read_text())
    content["train_stage1"]["unet"] |= {"pretrained": "owner/name/unet", "timestep_map": "pretrained"}
    content["train_stage1"]["unet"]["resnet_time_scale_shift"] = "default"
    for stage in ("train_stage2", "train_stage3"):
        content[stage]["noise"]["beta_end"] = content["train_stage1"]["noise"]["beta_end"]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=sentence):
        load_params(path)


SMALLER = ["one_gpu.yaml", "node.yaml"]
"""Params files that stand beside the paper's."""


def sections_of(name: str) -> dict[str, Any]:
    """The sections of a params file as they are written."""
    return yaml.safe_load((ROOT / "params" / name).read_text())


@pytest.mark.parametrize("name", SMALLER)
def test_params_beside_the_papers_give_a_reason_for_every_number_that_differs(name: str) -> None:
    papers = set((ROOT / "params/paper.yaml").read_text().splitlines())
    lines = (ROOT / "params" / name).read_text().splitlines()
    other = [(before, line) for before, line in pairwise(lines) if line not in papers and not is_comment(line)]
    assert len(other) >= 12
    assert [
        line for before, line in other if not re.search("# (paper|as above)", line) and not is_comment(before)
    ] == []
    for before, line in other:
        reason = before if is_comment(before) else line.partition("#")[2]
        assert len(reason.split()) >= 5, line


def is_comment(line: str) -> bool:
    """Whether a line of YAML says something to the reader alone."""
    return line.lstrip().startswith("#")


@pytest.mark.parametrize("name", SMALLER)
def test_params_beside_the_papers_have_its_keys_and_start_from_its_weights(name: str) -> None:
    papers, smaller = sections_of("paper.yaml"), sections_of(name)
    assert {section: set(keys) for section, keys in papers.items() if isinstance(keys, dict)} == {
        section: set(keys) for section, keys in smaller.items() if isinstance(keys, dict)
    }
    for section, part in (("train_vae", "vae"), ("encode", "image_encoder"), ("train_stage1", "unet")):
        assert smaller[section][part]["pretrained"] == papers[section][part]["pretrained"] is not None


@pytest.mark.parametrize(("name", "batch_size"), [("one_gpu.yaml", 128), ("node.yaml", 512)])
def test_params_beside_the_papers_train_most_in_stage_3_at_256_px(name: str, batch_size: int) -> None:
    params = load_params(ROOT / "params" / name)
    stages = [params.train_stage1, params.train_stage2, params.train_stage3]
    assert params.render.resolution == 256
    assert {stage.loop.batch_size for stage in stages} == {batch_size}
    assert {stage.noise.min_snr_gamma for stage in stages} == {5}
    assert {stage.optimizer.decayed for stage in stages} == {"matrices"}
    assert all(stage.loop.samples % batch_size == 0 for stage in stages)
    assert stages[2].loop.samples > 2 * (stages[0].loop.samples + stages[1].loop.samples)
    assert [stage.multi_condition_share for stage in stages] == [0, 0, 0.5]


def test_params_of_one_card_can_be_continued_at_512_px(tmp_path: Path) -> None:
    content = sections_of("one_gpu.yaml")
    content["render"] |= {"resolution": 512, "objects_per_shard": 64}
    for number, section in enumerate(("train_vae", "train_stage1", "train_stage2", "train_stage3")):
        content[section]["continue_from"] = f"{number:032x}"
        content[section]["loop"]["samples"] += 640_000 if section == "train_stage3" else 128
        if section != "train_vae":
            content[section]["noise"]["beta_end"] = 0.022
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    params = load_params(path)
    before, after = (
        Diffusion(NoiseConfig(**noise))
        for noise in (sections_of("one_gpu.yaml")["train_stage3"]["noise"], params.train_stage3.noise.model_dump())
    )
    ratio = [float((process.alpha[500] / process.sigma[500]) ** 2) for process in (before, after)]
    assert ratio[1] / ratio[0] == pytest.approx(0.25, abs=0.01)


def test_params_with_several_mistakes_name_all(tmp_path: Path) -> None:
    path = changed(tmp_path, "render.conditions", 0)
    path.write_text(path.read_text().replace("min_score: 5.0", "min_score: 50.0"))
    with pytest.raises(ValueError, match=r"(?s)select.min_score.*render.conditions"):
        load_params(path)


def test_params_without_a_section_say_so(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 0\n")
    with pytest.raises(ValueError, match="render: is missing"):
        load_params(path)


@pytest.mark.parametrize("text", ["seed: [", "", "just words"])
def test_params_that_are_not_a_table_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"params.yaml (is not valid YAML|does not hold together)"):
        load_params(path)


def test_params_file_that_is_missing_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run from the project's root"):
        load_params(tmp_path / "params.yaml")


def test_params_cannot_be_changed_afterwards() -> None:
    params = load_params(ROOT / "params.yaml")
    assert isinstance(params, Params)
    with pytest.raises(ValueError, match="frozen"):
        params.seed = 1  # type: ignore[misc]
