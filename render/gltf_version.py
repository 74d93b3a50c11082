"""Tells of which version a glTF document is, however programs write it."""

import re
from collections.abc import Mapping
from typing import Any

from render.errors import Unrenderable

VERSION_2 = re.compile(r"2(\.\d+)?")
"""All of 2.x are read as 2.0, which section 3.2 of the specification lets them be, but for those of a `minVersion`."""
LEAST = re.compile(r"2(\.0)?")


def check_version(document: Mapping[str, Any]) -> None:
    """Raise Unrenderable unless a glTF document is of a version that is read.

    Args:
        document: The JSON of a glTF file.
    """
    asset = document.get("asset")
    version, least = (asset.get("version"), asset.get("minVersion", 2)) if isinstance(asset, dict) else (None, 2)
    if version is None:
        raise Unrenderable("its asset.version is missing, and only glTF 2.0 is read: export the file again")
    if not VERSION_2.fullmatch(str(version)) or not LEAST.fullmatch(str(least)):
        needs = version if LEAST.fullmatch(str(least)) else least
        raise Unrenderable(f"is of glTF version {needs}, and only 2.0 is read: convert it to glTF 2.0")


def with_plain_version(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document of a version that is read with "2.0" as its version; programs write numbers too."""
    asset = document.get("asset")
    if not isinstance(asset, dict) or not VERSION_2.fullmatch(str(asset.get("version"))):
        return document
    return document | {"asset": asset | {"version": "2.0"}}
