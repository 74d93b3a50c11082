"""The forms of deployments: fields, bounds and words are those of the sections of params.yaml."""

import pytest
from pydantic import ValidationError

from flows.pipeline import FLOWS
from flows.settings import chosen, settings_model
from flows.stage import Flow


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_form_describes_each_of_its_settings(flow: Flow) -> None:
    shown = settings_model("Form", flow.settings).model_json_schema()["properties"]
    assert [field["title"] for field in shown.values()] == list(flow.settings)
    assert all(len(field["description"]) > 40 for field in shown.values())


def test_form_has_the_bounds_of_the_section() -> None:
    form = settings_model("Form", ["render.resolution", "train_stage1.loop.samples"])
    for values in ({"render_resolution": 8}, {"render_resolution": 100}, {"train_stage1_loop_samples": 0}, {"no": 1}):
        with pytest.raises(ValidationError):
            form(**values)
    assert form.model_json_schema()["properties"]["render_resolution"]["anyOf"][0] == {
        "type": "integer", "minimum": 16, "maximum": 4096, "multipleOf": 8
    }  # fmt: skip


def test_chosen_settings_are_keys_of_the_file_and_empty_ones_are_left_alone() -> None:
    keys = ("render.resolution", "render.conditions", "catalog.max_objects")
    form = settings_model("Form", keys)
    assert chosen(form(render_resolution=64), keys) == {"render.resolution": 64}
    assert chosen(form(), keys) == {}


@pytest.mark.parametrize("key", ["render.no_such", "no_such.resolution"])
def test_form_of_an_unknown_key_is_refused_with_its_name(key: str) -> None:
    with pytest.raises(ValueError, match=f"params.yaml has no {key}"):
        settings_model("Form", [key])
