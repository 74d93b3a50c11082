"""Describes a data set of views as MLCommons Croissant 1.1 does, in JSON-LD.

The context is the one of the specification (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html).
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

VERSION = "http://mlcommons.org/croissant/1.1"
_OF_CROISSANT = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject"),
    *("fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
    *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator"),
    *("source", "subField", "transform"),
)
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _OF_CROISSANT},
}
PAPER = "https://arxiv.org/abs/2402.12712"


def croissant(
    name: str, description: str, licences: Sequence[str], table: str, content: bytes, columns: Sequence[str]
) -> dict[str, Any]:
    """Return the metadata of a data set of shards with a table of its objects.

    Args:
        name: The data set's name.
        description: What it is.
        licences: Addresses or names of the licences of its objects.
        table: Name of the CSV file of the objects, which lies beside the shards.
        content: The bytes of that file.
        columns: Its columns, of text; the first is the key.
    """
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": name,
        "description": description,
        "license": list(licences),
        "citeAs": PAPER,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": table,
                "name": table,
                "description": "Title, author, licence and address of each object.",
                "contentUrl": table,
                "encodingFormat": "text/csv",
                "sha256": hashlib.sha256(content).hexdigest(),
            },
            {
                "@type": "cr:FileSet",
                "@id": "shards",
                "name": "shards",
                "description": "WebDataset shards: <uid>.<view>.png and <uid>.cameras.json.",
                "encodingFormat": "application/x-tar",
                "includes": "shard-*.tar",
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "objects",
                "name": "objects",
                "description": "The objects that the views show.",
                "key": {"@id": f"objects/{columns[0]}"},
                "field": [_field(column, table) for column in columns],
            }
        ],
    }


def _field(column: str, table: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"objects/{column}",
        "name": column,
        "dataType": "sc:Text",
        "source": {"fileObject": {"@id": table}, "extract": {"column": column}},
    }
