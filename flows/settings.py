"""Parameters of a deployment: chosen values of params.yaml, each with the type, bounds and words that its section has.

Prefect shows them as a form and refuses a value out of bounds before anything is scheduled.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from flows.params import Params


def settings_model(name: str, keys: Sequence[str]) -> type[BaseModel]:
    """Make the model of a form with one optional field for each key.

    Args:
        name: Name of the class.
        keys: Full keys of params.yaml, such as "render.resolution", which becomes the field `render_resolution`.

    Raises:
        ValueError: params.yaml has no such key.
    """
    fields: dict[str, Any] = {_field_name(key): _optional(key, _field_of(key)) for key in keys}
    return create_model(name, __config__=ConfigDict(frozen=True, extra="forbid"), **fields)


def chosen(settings: BaseModel, keys: Sequence[str]) -> Mapping[str, Any]:
    """Return what a form has set, as full key of params.yaml to value; an empty field leaves the file as it is."""
    values = settings.model_dump(mode="json", exclude_none=True)
    return {key: values[_field_name(key)] for key in keys if _field_name(key) in values}


def _field_name(key: str) -> str:
    return key.replace(".", "_")


def _optional(key: str, field: FieldInfo) -> Any:
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    words = " ".join((field.description or "").split())
    return Annotated[kind | None, Field(title=key, description=f"{words} Empty: as in params.yaml.".strip())], None


def _field_of(key: str) -> FieldInfo:
    *sections, last = key.split(".")
    model: Any = Params
    for section in sections:
        if section not in model.model_fields:
            raise ValueError(f"params.yaml has no {key}; {section} is not a section of it")
        model = model.model_fields[section].annotation
    if last not in model.model_fields:
        raise ValueError(f"params.yaml has no {key}")
    found: FieldInfo = model.model_fields[last]
    return found
