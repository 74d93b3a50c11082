"""Where the model lies that a user names: the one resolver of `sample`, `page` and `serve-model`."""

import re
from pathlib import Path

from models.data.hub_weights import weights_folder

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?(/[\w./-]+)?")
"""owner/name, owner/name@COMMIT, either with a folder inside."""


def resolve_model(reference: str) -> Path:
    """Return the folder of a saved pipeline.

    Args:
        reference: A folder such as models_out/stage3, or an id at a hub such as owner/name@COMMIT.

    Raises:
        ValueError: There is no such folder, and the hub has no model of that name.
        ConnectionError: The hub does not answer.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_id(reference):
        raise ValueError(
            f"the model {reference} is no folder here, and no id at a hub: name the folder of a saved pipeline, e.g. "
            "models_out/stage3, or owner/name"
        )
    return weights_folder(reference)


def is_hub_id(reference: str) -> bool:
    """Whether a name has the form of a hub's and cannot be meant as a path here."""
    owner = reference.partition("/")[0]
    return bool(HUB_ID.fullmatch(reference)) and not Path(owner).is_dir()
