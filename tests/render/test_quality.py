from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from pydantic import ValidationError

from render.quality import NAMED, Quality, quality_named
from tests.render.toys import camera, toy_config, write_box


def test_config_takes_a_qualitys_name_or_its_numbers() -> None:
    values = toy_config().model_dump()
    by_name = toy_config().model_validate(values | {"quality": "draft"})
    by_numbers = toy_config().model_validate(values | {"quality": NAMED["draft"].model_dump()})
    assert by_name == by_numbers
    assert by_name.model_dump()["quality"]["samples"] == NAMED["draft"].samples


def test_quality_that_does_not_exist_is_a_sentence_with_the_names() -> None:
    with pytest.raises(
        ValueError, match="'best' is no quality; write draft, standard, reference, or numbers for samples"
    ):
        quality_named("best")
    values = toy_config().model_dump()
    with pytest.raises(ValidationError, match="no quality"):
        toy_config().model_validate(values | {"quality": "best"})


@pytest.mark.blender
def test_named_qualities_come_closer_to_the_truth_one_by_one(tmp_path: Path) -> None:
    objects = pytest.importorskip("render.blender.objects")
    shots = pytest.importorskip("render.blender.views")
    from render.device import Machine
    from render.placement import normalize_bounds

    box = write_box(tmp_path / "box.glb")
    report = objects.inspect(box)
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)

    def view(**quality: Any) -> npt.NDArray[np.float64]:
        config = toy_config(resolution=96, light={"sky": 0.5, "ground": 0.5, "suns": "studio", "sun": 1.5}, **quality)
        (taken,) = shots.render_views(box, placement, [camera(30, 30)], config, uid="box", seed=0, machine=Machine(2))
        return taken.rgba.astype(float)

    truth = view(samples=1024, max_bounces=4)
    errors = [np.square(view(**quality.model_dump()) - truth).mean() for quality in NAMED.values()]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("value", get_args(Quality.model_fields["denoise"].annotation))
def test_quality_words_are_words_in_yaml_too(value: str) -> None:
    assert yaml.safe_load(f"denoise: {value}") == {"denoise": value}
