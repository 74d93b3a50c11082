"""Reads glTF 2.0 files, in JSON (.gltf) or in the binary container (.glb), without building a scene.

Written by hand because no package of the environment hands out the header of a file that is damaged or the document of
one that cannot be rendered: trimesh and Blender build the scene or refuse. Layout: glTF 2.0 specification, chapter 4.
"""

import base64
import json
import os
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

MAGIC = b"glTF"
HEADER = struct.Struct("<4sII")
"""Magic, format version, length of the whole file in bytes."""
CHUNK = struct.Struct("<I4s")
"""Length of the chunk's content in bytes, kind of the chunk."""
JSON_CHUNK = b"JSON"


def read_header(path: Path) -> tuple[int, int]:
    """Return the format version and the length in bytes that the header of a GLB file states.

    Raises ValueError when the file is no GLB file.
    """
    with path.open("rb") as file:
        header = file.read(HEADER.size)
    if len(header) < HEADER.size or not header.startswith(MAGIC):
        raise ValueError(f"not a GLB file: it starts with {header[:4]!r}")
    _, version, length = HEADER.unpack(header)
    return version, length


def is_binary(path: Path) -> bool:
    """Tell whether a file begins as a GLB file does."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def is_json(path: Path) -> bool:
    """Tell whether a file is a glTF document in JSON, which an error that a server sends in JSON is not."""
    try:
        return not is_binary(path) and "asset" in read_document(path)
    except ValueError:
        return False


def check_chunks(path: Path) -> None:
    """Raise ValueError unless the chunks of a GLB file begin with the JSON and none reaches beyond the file's end."""
    end, start = path.stat().st_size, HEADER.size
    with path.open("rb") as file:
        while end - start >= CHUNK.size or start == HEADER.size:
            file.seek(start)
            entry = file.read(CHUNK.size)
            if len(entry) < CHUNK.size:
                raise ValueError("the GLB file has no chunks")
            length, kind = CHUNK.unpack(entry)
            if start == HEADER.size and kind != JSON_CHUNK:
                raise ValueError(f"the first chunk of the GLB file is {kind!r}, not its JSON")
            start += CHUNK.size + length
            if start > end:
                raise ValueError(f"the chunk {kind!r} of the GLB file reaches to byte {start}, but the file has {end}")


def read_document(path: Path) -> dict[str, Any]:
    """Return the JSON document of a glTF or GLB file; a GLB file's binary chunk is not read.

    Raises ValueError when the content is no JSON object.
    """
    with path.open("rb") as file:
        start = file.read(HEADER.size + CHUNK.size)
        if start.startswith(MAGIC):
            if len(start) < HEADER.size + CHUNK.size:
                raise ValueError(f"{path.name} ends inside its header")
            length, _ = CHUNK.unpack_from(start, HEADER.size)
            text = file.read(length)
        else:
            text = start + file.read()
    document = parse_json(text)
    if not isinstance(document, dict):
        raise ValueError(f"the JSON of {path.name} is no object")
    return document


def parse_json(content: bytes) -> Any:
    """Return what JSON of any encoding says; a byte order mark and NULs at its end do not count.

    Raises ValueError when it is no JSON.
    """
    encoding = json.detect_encoding(content)
    try:
        return json.loads(content.rstrip(b"\0") if encoding.startswith("utf-8") else content)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def file_names(path: Path) -> list[str]:
    """Return the paths, from a glTF or GLB file's folder, of its buffers and images that are not embedded, as written.

    Which files they mean: render.obj.lookup.named_file. A file that cannot be read has none.
    """
    try:
        document = read_document(path)
        parts = [*document.get("buffers", []), *document.get("images", [])]
        uris = [part.get("uri") for part in parts]
    except (ValueError, AttributeError, TypeError):
        return []
    names = [uri_path(uri) for uri in uris if isinstance(uri, str) and uri and not is_embedded(uri)]
    return list(dict.fromkeys(names))


def is_embedded(uri: str) -> bool:
    """Tell whether a URI holds the data itself."""
    return uri[:5].lower() == "data:"


def plain_data(uri: str) -> str:
    """Return a URI that holds data in the form that importers read, whatever other form RFC 2397 allows it.

    Programs write it with escapes, in the alphabet for URLs, in capital letters, without padding or without base64.
    """
    head, _, data = uri.partition(",")
    if not head.lower().endswith(";base64"):
        return "data:application/octet-stream;base64," + base64.b64encode(unquote_to_bytes(data)).decode()
    if "%" in data:
        data = unquote(data)
    return f"{head.lower()},{data.replace('-', '+').replace('_', '/')}=="


def uri_path(uri: str) -> str:
    """Return the path of a file that a URI names, as Blender's importer finds it: Windows' separators are read too."""
    return os.path.normpath(unquote(uri.replace("\\", "/")))
