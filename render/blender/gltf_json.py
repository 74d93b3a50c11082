"""Reads the JSON of glTF files as viewers do, where Blender's importer takes what is written to the letter only.

Programs write a byte order mark, UTF-16, NULs instead of blanks at the end of a GLB file's JSON, NaN, and a number as
the version.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from io_scene_gltf2.io.imp import gltf2_io_gltf

from render.gltf import parse_json
from render.gltf_version import with_plain_version


@contextmanager
def lenient_json() -> Iterator[None]:
    """Let Blender's importer read JSON by `load_json` meanwhile."""
    importer = gltf2_io_gltf.glTFImporter
    strict = importer.load_json
    importer.load_json = staticmethod(load_json)
    try:
        yield
    finally:
        importer.load_json = staticmethod(strict)


def load_json(content: memoryview) -> Any:
    """Return a glTF document; numbers that are not finite are left out, so that what they would set has its default.

    Those of nodes stay: whoever places the object says which node stands nowhere. Its version is "2.0".

    Raises the importer's error when it is no JSON.
    """
    try:
        document = parse_json(bytes(content))
    except ValueError as error:
        raise gltf2_io_gltf.ImportError(f"Bad glTF: json error: {error}") from error
    if isinstance(document, dict):
        read = {key: value if key == "nodes" else finite(value) for key, value in document.items()}
        return with_plain_version(read)
    return document


def finite(value: Any) -> Any:
    """Return a value of JSON without the fields that hold a number that is not finite."""
    if isinstance(value, dict):
        return {key: finite(field) for key, field in value.items() if not is_spoilt(field)}
    return [finite(item) for item in value] if isinstance(value, list) else value


def is_spoilt(value: Any) -> bool:
    """Tell whether a value is a number that is not finite, or a list with one."""
    if isinstance(value, list):
        return any(isinstance(item, float) and not math.isfinite(item) for item in value)
    return isinstance(value, float) and not math.isfinite(value)
