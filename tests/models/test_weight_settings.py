"""Which fields of a training decide its weights, and so name the folder of its checkpoints."""

import typing
from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from flows.params import load_params
from models.config import TrainingConfig
from tasks.artifacts.manifest import fingerprint
from tests.project_copy import ROOT

OBSERVING = {"loop.log_every", "loop.validate_every", "loop.checkpoint_every", "drawn_steps", "drawn_objects"}


def another_value(kind: Any, value: Any) -> Any:
    """A value of the field's type that is not `value`."""
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != value)
    if value is None:
        [kind] = [one for one in get_args(kind) if one is not NoneType]
        return {str: "0" * 32, int: 7, float: 7.0}[kind]
    if isinstance(value, tuple):
        return (*value[:-1], another_value(type(value[-1]), value[-1])) if value else ((3, 5),)
    if isinstance(value, str):
        return value + "0"
    return not value if isinstance(value, bool) else value + 1


def with_one_change(section: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    """The full name of each field, and the section with another value there."""
    kinds = typing.get_type_hints(type(section))
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            changes = [(f"{name}.{inner}", changed) for inner, changed in with_one_change(value)]
        else:
            changes = [(name, another_value(kinds[name], value))]
        yield from ((full_name, section.model_copy(update={name: changed})) for full_name, changed in changes)


@pytest.mark.parametrize(("name", "num_observing"), [("train_vae", 3), ("train_stage1", 5), ("distil", 4)])
def test_every_field_changes_the_key_but_those_that_only_observe(name: str, num_observing: int) -> None:
    section: TrainingConfig = getattr(load_params(ROOT / "params.yaml"), name)
    key = fingerprint(section.weight_settings())
    changed = dict(with_one_change(section))
    assert len(changed) > 20
    same = {
        field
        for field, other in changed.items()
        if fingerprint(typing.cast("TrainingConfig", other).weight_settings()) == key
    }
    assert same == OBSERVING & changed.keys()
    assert len(same) == num_observing
