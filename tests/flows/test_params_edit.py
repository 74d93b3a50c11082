import shutil
from pathlib import Path

import pytest
import yaml

from flows.params import load_params
from flows.params_edit import parse_assignments, set_params
from infra.versioning import leaves

HERE = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copyfile(HERE / "params.yaml", tmp_path / "params.yaml"))


def changed(path: Path) -> dict[str, object]:
    before = leaves(yaml.safe_load((HERE / "params.yaml").read_text()))
    after = leaves(yaml.safe_load(path.read_text()))
    assert before.keys() == after.keys()
    return {key: value for key, value in after.items() if value != before[key]}


def test_set_changes_the_line_and_no_other(path: Path) -> None:
    set_params(path, {"render.conditions": 32})
    old, new = (HERE / "params.yaml").read_text().splitlines(), path.read_text().splitlines()
    assert [(a, b) for a, b in zip(old, new, strict=True) if a != b] == [
        ("  conditions: 12            # 10, sec. 4.1", "  conditions: 32            # 10, sec. 4.1")
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"train_stage1.optimizer.learning_rate": 0.5},
        {"train_stage2.optimizer.learning_rate": 0.5},
        {"train_stage3.optimizer.learning_rate": 0.25, "train_stage1.optimizer.weight_decay": 0.5},
        {"train_stage1.noise.timesteps": 500},
        {"train_stage2.noise.timesteps": 500},
        {"train_stage1.optimizer.learning_rate": 1e-5},
        {
            "render.light.sun": 2.0,
            "sample.conditions": [1, 2],
            "catalog.procedural_families": None,
            "catalog.source": "folder",
        },
    ],
    ids=lambda changes: "+".join(changes),
)
def test_set_leaves_sections_that_share_an_anchor_alone(path: Path, changes: dict[str, object]) -> None:
    set_params(path, changes)
    assert changed(path) == changes


def test_set_of_a_whole_section_replaces_it(path: Path) -> None:
    light = {"sky": 1.0, "ground": 1.0, "suns": "studio", "sun": 1.0}
    set_params(path, {"render.light": light})
    assert changed(path) == {f"render.light.{key}": value for key, value in light.items()}


def test_set_of_a_field_that_the_file_leaves_at_its_default_adds_it(path: Path) -> None:
    added = {"train_stage2.max_objects": 5, "train_stage3.loop.max_skipped_steps": 2}
    set_params(path, added)
    before, after = (leaves(yaml.safe_load(file.read_text())) for file in (HERE / "params.yaml", path))
    assert {key: value for key, value in after.items() if key not in before} == added
    assert {key: after[key] for key in before} == before
    assert load_params(path).train_stage2.max_objects == 5


def test_set_twice_returns_to_the_same_values(path: Path) -> None:
    set_params(path, {"train_stage2.noise.timesteps": 500, "render.conditions": 32})
    set_params(path, {"train_stage2.noise.timesteps": 1000, "render.conditions": 12})
    assert changed(path) == {}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"render.condtions": 4}, r"no key 'render.condtions'; did you mean 'render.conditions'"),
        ({"rendr.conditions": 4}, r"no key 'rendr.conditions'; did you mean 'render.conditions'"),
        ({"seed.a": 4}, r"no key 'seed.a'"),
        ({"train_stage1.max_object": 4}, r"no key 'train_stage1.max_object'"),
        ({"train_stage1.max_objects": 0}, r"train_stage1.max_objects: .* greater than or equal to 1 \(got 0\)"),
        ({"select.min_score": 50}, r"select.min_score: .* less than or equal to 10 \(got 50\)"),
        ({"train_stage3.kept_targets": 33}, r"train_stage3.kept_targets is 33; render makes only 32 targets"),
    ],
)
def test_set_of_a_mistake_leaves_the_file_alone(path: Path, changes: dict[str, object], sentence: str) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match=sentence):
        set_params(path, {"render.conditions": 8} | changes)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["params.yaml"]


def test_assignments_are_yaml() -> None:
    words = ["a.b=3", "c=[1, 2]", "d=null", "e=x=y"]
    assert parse_assignments(words) == {"a.b": 3, "c": [1, 2], "d": None, "e": "x=y"}


def test_assignment_without_a_value_shows_how() -> None:
    with pytest.raises(ValueError, match="write key=value"):
        parse_assignments(["render.conditions"])
