"""Changes values in params.yaml without losing its comments, and refuses values that do not hold together."""

import copy
import difflib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from flows.params import Params, describe
from infra.versioning import leaves
from tasks.artifacts.atomic import write_bytes


def parse_assignments(words: list[str]) -> dict[str, Any]:
    """Parse "render.quality=draft" and the like into key and value; the right side is YAML.

    Raises ValueError for a word without an equals sign.
    """
    changes = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign:
            raise ValueError(f"--set {word}: write key=value, for example --set render.quality=draft")
        changes[key] = yaml.safe_load(value)
    return changes


def set_params(path: Path, changes: Mapping[str, Any]) -> None:
    """Write `changes` (full key to value) into a params file: all, or none when one is wrong.

    Nothing else changes: where sections share one YAML anchor, the one that is set gets values of its own.
    Raises ValueError for an unknown key, and for values that do not hold together; the file is then left alone.
    """
    text = _edited(path.read_text(), changes)
    try:
        Params.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        raise ValueError(f"{path.name} is left as it was:\n{describe(error)}") from None
    write_bytes(path, text.encode())


class _Representer(RoundTripRepresenter):
    """Writes null as `null` and 1e-5 as `1.0e-05`: without the point, YAML 1.1 readers take it for a text."""

    def represent_none(self, data: None) -> ScalarNode:
        del data
        return self.represent_scalar("tag:yaml.org,2002:null", "null")

    def represent_number(self, data: float) -> ScalarNode:
        text = repr(data)
        return self.represent_scalar(
            "tag:yaml.org,2002:float", text if "." in text or "e" not in text else text.replace("e", ".0e")
        )


_Representer.add_representer(type(None), _Representer.represent_none)
_Representer.add_representer(float, _Representer.represent_number)


def _edited(text: str, changes: Mapping[str, Any]) -> str:
    parser = YAML()
    parser.Representer = _Representer
    parser.width = 4096
    parser.preserve_quotes = True
    content = parser.load(text)
    for key, value in changes.items():
        _set(content, key, value)
    before, after = leaves(yaml.safe_load(text)), leaves(yaml.safe_load(_dumped(parser, content)))
    for key, value in before.items():
        is_meant = any(f"{key}.".startswith(f"{changed}.") for changed in changes)
        if not is_meant and after[key] != value:  # its section shares an anchor with one that was set
            _set(content, key, value)
    return _dumped(parser, content)


def _dumped(parser: YAML, content: CommentedMap) -> str:
    out = io.StringIO()
    parser.dump(content, out)
    return out.getvalue()


def _set(content: CommentedMap, key: str, value: Any) -> None:
    section = content
    *outer, last = key.split(".")
    for name in outer:
        if not isinstance(section.get(name), CommentedMap):
            raise ValueError(_unknown(content, key))
        if _is_alias(content, section, name):
            section[name] = copy.deepcopy(section[name])
            section[name].yaml_set_anchor(None)
        section = section[name]
    if last not in section and not _has_default(key):
        raise ValueError(_unknown(content, key))
    section[last] = value


def _has_default(key: str) -> bool:
    """Return whether `key` is a field of the params that their file may leave out."""
    section: Any = Params
    *outer, last = key.split(".")
    for name in outer:
        field = getattr(section, "model_fields", {}).get(name)
        section = None if field is None else _section_of(field.annotation)
    field = getattr(section, "model_fields", {}).get(last)
    return field is not None and not field.is_required()


def _section_of(annotation: Any) -> Any:
    """The section that an annotation names, also where null stands for none."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _is_alias(content: CommentedMap, parent: CommentedMap, name: str) -> bool:
    """Return whether the section is written elsewhere, and this place refers to it by a YAML alias."""
    place, holder = next(found for found in _sections(content) if found[0].get(found[1]) is parent[name])
    return place is not parent or holder != name


def _sections(parent: CommentedMap) -> Iterator[tuple[CommentedMap, str]]:
    """Yield the parent and name of every section below `parent`, in the order of the file."""
    for name, value in parent.items():
        if isinstance(value, CommentedMap):
            yield parent, name
            yield from _sections(value)


def _unknown(content: CommentedMap, key: str) -> str:
    known = list(leaves(content)) + list(content)
    close = difflib.get_close_matches(key, known, n=1)
    return f"params.yaml has no key {key!r}" + (f"; did you mean {close[0]!r}?" if close else "")
