"""An output that changes without its recipe number changing would go unnoticed by DVC: these tests notice."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.golden.losses import LOSSES, loss_table
from tests.golden.recipes import FOLDER, OBJECTS, named_qualities, object_digests, params, rendered

REMEDY = "undo it, or bump the recipe in params.yaml and params/paper.yaml and run python -m tests.golden.regenerate"


@pytest.mark.slow(seconds=2)
def test_golden_objects_are_what_catalog_recipe_says(tmp_path: Path) -> None:
    golden = json.loads((FOLDER / "objects.json").read_text())
    assert golden["recipe"] == params().catalog.recipe, f"the goldens are of another recipe: {REMEDY}"
    changed = [family for family, digest in object_digests(tmp_path).items() if golden["sha256"].get(family) != digest]
    assert not changed, f"objects of {changed} changed: {REMEDY}"


def test_golden_qualities_are_the_numbers_that_render_recipe_says() -> None:
    assert str(np.load(FOLDER / "renders.npz")["quality"]) == named_qualities(), f"render/quality.py changed: {REMEDY}"


@pytest.mark.slow(seconds=5)
def test_golden_losses_are_what_twenty_steps_of_each_training_give() -> None:
    golden = [line.split() for line in LOSSES.read_text().splitlines()]
    found = [line.split() for line in loss_table().splitlines()]
    assert found[0] == golden[0]
    for expected, row in zip(golden[1:], found[1:], strict=True):
        numbers = [float(number) for number in row]
        wanted = [float(number) for number in expected]
        remedy = "undo it, or bump the stage's recipe and run python -m tests.golden.losses"
        assert numbers == pytest.approx(wanted, rel=5e-5), f"step {row[0]} moved: {remedy}"


@pytest.mark.blender
@pytest.mark.parametrize("family", OBJECTS)
def test_golden_renders_are_what_render_recipe_says(family: str, tmp_path: Path) -> None:
    golden = np.load(FOLDER / "renders.npz")
    assert golden["recipe"] == params().render.recipe, f"the goldens are of another recipe: {REMEDY}"
    expected, views = golden[family].astype(int), rendered(family, tmp_path).astype(int)
    difference = np.abs(views - expected).mean()
    union = (views[..., 3] > 127) | (expected[..., 3] > 127)
    both = (views[..., 3] > 127) & (expected[..., 3] > 127)
    assert difference <= 1.0, f"{family} differs by {difference:.2f}/255 on average: {REMEDY}"
    assert both.sum() / union.sum() >= 0.99, f"the outline of {family} moved: {REMEDY}"
