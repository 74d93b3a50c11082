"""Tells Blender's importer of glTF where buffers and images are: it takes what is written to the letter only."""

import os
from pathlib import Path
from typing import Any

from render.gltf import is_embedded, plain_data, uri_path
from render.named_files import leads_to_file
from render.obj.lookup import named_file


def mend_names(gltf: Any) -> None:
    """Name buffers and images as they are called on the disk, and hold data as the importer reads them."""
    path = Path(gltf.filename)
    for part in [*(gltf.data.buffers or []), *(gltf.data.images or [])]:
        if part.uri and is_embedded(part.uri):
            part.uri = plain_data(part.uri)
        elif part.uri and leads_to_file(file := named_file(path, uri_path(part.uri))):
            part.uri = os.path.relpath(file, path.parent).replace("%", "%25")
