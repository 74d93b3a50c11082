"""Which folder a user means by a model: a folder, an id at a hub, or a reference to the profile's tracking store."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from flows.pipeline import WORK
from models.data.hub_weights import weights_folder

if TYPE_CHECKING:
    from infra.registry import Registry

CACHE = WORK / "models"
"""Models that references have meant, by the digest of their weights; what lies there may be deleted."""
SCHEMES = ("models:", "runs:")
"""How references to the tracking store begin."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?(/[\w./-]+)?")
"""owner/name, owner/name@COMMIT, either with a folder inside."""


def resolve_model(reference: str | Path, root: Path, profile_name: str) -> Path:
    """Return the folder of a model.

    Args:
        reference: A folder such as models_out/stage3; an id at a hub such as owner/name@COMMIT; or models:/NAME@ALIAS,
            models:/NAME/VERSION, models:/m-ID or runs:/RUN_ID/NAME. What the latter mean is brought to .work/models
            once and compared with its hashes; it is safetensors and text alone.
        root: The checkout.
        profile_name: Name or file of the profile, which names the tracking store.

    Raises ValueError, naming the reference, where it means no model that can be used; ConnectionError when the hub,
    RuntimeError when the tracking store does not answer.
    """
    name = str(reference)
    if name.startswith(SCHEMES):
        return open_registry(root, profile_name).resolve(name, root / CACHE)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_id(name):
        raise ValueError(
            f"the model {name} is no folder here, and no id at a hub: name the folder of a saved pipeline, e.g. "
            "models_out/stage3, owner/name, or models:/NAME@champion"
        )
    return weights_folder(name)


def is_hub_id(reference: str) -> bool:
    """Whether a name has the form of a hub's and cannot be meant as a path here."""
    owner = reference.partition("/")[0]
    return bool(HUB_ID.fullmatch(reference)) and not Path(owner).is_dir()


def open_registry(root: Path, profile_name: str) -> "Registry":
    """Open the registry of the tracking store that a profile names, for the checkout `root`.

    Raises RuntimeError when the store does not answer.
    """
    # here, since DVC and MLflow cost seconds that a model in a folder saves
    from infra.profile import load_profile
    from infra.registry import Registry
    from infra.storage.store import RemoteStore
    from infra.tracking import TrackingStore
    from infra.versioning import places_of

    profile = load_profile(profile_name)
    store = RemoteStore(s3_endpoint_url=profile.s3_endpoint, attempts=profile.retries + 1)
    return Registry(TrackingStore(root, profile.tracking_uri), store.fetch, places_of(root))
