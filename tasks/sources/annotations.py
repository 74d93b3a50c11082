"""Turns Objaverse's annotations, which are those of Sketchfab's interface, into columns of a catalog."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from tasks.artifacts.catalog_columns import CATALOG

Annotation = Mapping[str, Any]


def annotated_columns(annotations: Iterable[Annotation]) -> dict[str, pa.Array]:
    """Return the columns that annotations fill, by name, one value for each annotation; an empty one says nothing.

    Titles, authors and licences are empty, everything else null, where an annotation does not say it.
    """
    rows = list(annotations)
    return {name: pa.array([value(row) for row in rows], CATALOG.field(name).type) for name, value in _COLUMNS.items()}


def _line(value: object) -> str:
    """A text on one line; of what the interface names by a dictionary the name."""
    if isinstance(value, dict):
        value = value.get("label") or value.get("name")
    return " ".join(value.split()) if isinstance(value, str) else ""


def _whole(name: str) -> Callable[[Annotation], int | None]:
    def read(row: Annotation) -> int | None:
        value = row.get(name)
        return value if isinstance(value, int) else None

    return read


def _names(name: str) -> Callable[[Annotation], list[str] | None]:
    def read(row: Annotation) -> list[str] | None:
        values = row.get(name)
        return [text for value in values if (text := _line(value))] if isinstance(values, list) else None

    return read


def _of_file(name: str) -> Callable[[Annotation], int | None]:
    """What the annotation says of the GLB file, which is what is downloaded."""

    def read(row: Annotation) -> int | None:
        value = ((row.get("archives") or {}).get("glb") or {}).get(name)
        return value if isinstance(value, int) else None

    return read


def _num_faces(row: Annotation) -> int | None:
    own = _of_file("faceCount")(row)
    return _whole("faceCount")(row) if own is None else own


def _num_vertices(row: Annotation) -> int | None:
    own = _of_file("vertexCount")(row)
    return _whole("vertexCount")(row) if own is None else own


def _thumbnail(row: Annotation) -> str | None:
    """The address of the largest picture."""
    images = (row.get("thumbnails") or {}).get("images") or []
    return max(images, key=lambda image: image.get("width") or 0).get("url") if images else None


_COLUMNS: Mapping[str, Callable[[Annotation], object]] = {
    "title": lambda row: _line(row.get("name")),
    "license": lambda row: _line(row.get("license")),
    "author": lambda row: _line(user.get("username") if isinstance(user := row.get("user"), dict) else user),
    "tags": _names("tags"),
    "categories": _names("categories"),
    "num_faces": _num_faces,
    "num_vertices": _num_vertices,
    "num_animations": _whole("animationCount"),
    "view_count": _whole("viewCount"),
    "like_count": _whole("likeCount"),
    "bytes": _of_file("size"),
    "published": lambda row: _line(row.get("publishedAt")) or None,
    "thumbnail": _thumbnail,
    "is_age_restricted": lambda row: value if isinstance(value := row.get("isAgeRestricted"), bool) else None,
}
