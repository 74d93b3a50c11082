"""Where published weights lie, and whether they are what params.yaml says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def locate(name: str) -> dict[str, str]:
    """Arguments of `from_pretrained` for a local folder, a hub id `owner/name`, or `owner/name/subfolder`."""
    parts = name.split("/", 2)
    if Path(name).is_dir() or len(parts) < 3:
        return {"pretrained_model_name_or_path": name}
    if name.startswith((".", "/")):
        raise ValueError(f"{name} is no folder; name an existing folder, or a hub id such as owner/name/subfolder")
    return {"pretrained_model_name_or_path": "/".join(parts[:2]), "subfolder": parts[2]}


def forget_origin(model: Any) -> None:
    """Drop the folder a diffusers model was loaded from out of its config: saved models hold no paths."""
    model.register_to_config(_name_or_path="")


def require_equal(wanted: Mapping[str, Any], found: Mapping[str, Any], source: str) -> None:
    """Raise ValueError for the first key of `wanted` whose value in `found` is another one."""
    for key, value in wanted.items():
        if value != found[key]:
            raise ValueError(f"{key} is {value} but {source} has {found[key]}; write that, or train from scratch")
