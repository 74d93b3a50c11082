"""What the project is told by environment variables; nothing else of it reads settings from there.

What a launcher says of ranks is read where the ranks meet; what only tames a library is set where that is imported.
"""

import os

DEFAULT_PROFILE = "laptop"
FLOW_RUN = "MVDPP_FLOW_RUN"
"""Environment variable that tells a stage's process which Prefect flow run it belongs to."""


def profile_name() -> str:
    """Return the name or file of the profile that says where and how fast work is done."""
    return os.environ.get("MVDPP_PROFILE") or DEFAULT_PROFILE


def hub_token() -> str | None:
    """Return the token of an account at the hub, or None."""
    return (os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or "").strip() or None


def hub_url() -> str | None:
    """Return the address of another hub than the usual one, or None."""
    return os.environ.get("HF_ENDPOINT") or None


def notify_block() -> str | None:
    """Return the Prefect block that tells of failed and late runs, as "type/name", or None."""
    return os.environ.get("MVDPP_NOTIFY") or None


def flow_run() -> str:
    """Return the address or id of the Prefect flow run that this process belongs to; empty: none."""
    return os.environ.get(FLOW_RUN, "")


def dvc_stage() -> str | None:
    """Return the stage whose command DVC has started this process for, or None."""
    return os.environ.get("DVC_STAGE")
