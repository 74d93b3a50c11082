"""Licences of objects under one name each, whatever a source calls them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Licence:
    """A licence that is known by its SPDX identifier."""

    spdx: str
    hub_id: str
    """Its identifier in the card of a data set at the Hugging Face hub."""
    url: str


def _creative_commons(kind: str) -> Licence:
    return Licence(
        f"CC-{kind.upper()}-4.0",
        f"cc-{kind}-4.0",
        f"https://creativecommons.org/licenses/{kind}/4.0/",
    )


_KINDS = ("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
_KNOWN = (
    *(_creative_commons(kind) for kind in _KINDS),
    Licence("CC0-1.0", "cc0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
)
LICENCES: Mapping[str, Licence] = {licence.spdx: licence for licence in _KNOWN}
"""Known licences by SPDX identifier."""
_ALIASES: Mapping[str, str] = {
    **{licence.spdx.lower(): licence.spdx for licence in _KNOWN},
    **{kind: f"CC-{kind.upper()}-4.0" for kind in _KINDS},
    **{f"cc-{kind}": f"CC-{kind.upper()}-4.0" for kind in _KINDS},
    "cc0": "CC0-1.0",
    "publicdomain": "CC0-1.0",
}
"""Sketchfab's and Objaverse's names (by, by-nc, cc0) among them."""


def licence_name(text: str) -> str:
    """Return the SPDX identifier of a licence that is known, else the text itself; empty where nothing is said."""
    return _ALIASES.get("-".join(text.lower().split()), text)


def hub_licence(text: str) -> str:
    """Return the hub's identifier of a licence that is known, else `other`."""
    known = LICENCES.get(licence_name(text))
    return known.hub_id if known else "other"


def licence_names(licences: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return `licence_name` of each value of a column."""
    encoded = licences.combine_chunks().dictionary_encode()
    names = pa.array([licence_name(text) for text in encoded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([names.take(encoded.indices)], pa.string())


def count_licences(licences: pa.ChunkedArray) -> dict[str, int]:
    """Count objects by licence, the most frequent first; `unknown` where nothing is said."""
    counted = [
        (row["values"] or "unknown", row["counts"]) for row in pc.value_counts(licence_names(licences)).to_pylist()
    ]
    return dict(sorted(counted, key=lambda pair: (-pair[1], pair[0])))
