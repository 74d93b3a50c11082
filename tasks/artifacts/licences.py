"""Licences of objects under one name each, whatever a source calls them."""

import re
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
    *(
        Licence(spdx, spdx.lower(), f"https://spdx.org/licenses/{spdx}.html")
        for spdx in ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MPL-2.0", "Unlicense")
    ),
)
LICENCES: Mapping[str, Licence] = {licence.spdx: licence for licence in _KNOWN}
"""Known licences by SPDX identifier."""
_ALIASES: Mapping[str, str] = {
    **{licence.spdx.lower(): licence.spdx for licence in _KNOWN},
    **{kind: f"CC-{kind.upper()}-4.0" for kind in _KINDS},
    **{f"cc-{kind}": f"CC-{kind.upper()}-4.0" for kind in _KINDS},
    **dict.fromkeys(("cc0", "publicdomain", "cc0-public-domain", "creative-commons-zero-v1.0-universal"), "CC0-1.0"),
    "mit-license": "MIT",
    "apache-license-2.0": "Apache-2.0",
    'bsd-2-clause-"simplified"-license': "BSD-2-Clause",
    'bsd-3-clause-"new"-or-"revised"-license': "BSD-3-Clause",
    "mozilla-public-license-2.0": "MPL-2.0",
    "the-unlicense": "Unlicense",
}
"""Sketchfab's and Objaverse's names (by, by-nc, cc0) and those of GitHub among them."""
_TERMS = {"attribution": "by", "noncommercial": "nc", "sharealike": "sa", "noderivs": "nd", "noderivatives": "nd"}
_FILLERS = frozenset(["cc", "creative", "commons", "license", "public", "international", "4.0"])
"""Words of which Creative Commons' names are made, as in "Creative Commons - Attribution - Non-Commercial"."""


def licence_name(text: str) -> str:
    """Return the SPDX identifier of a licence that is known, else the text itself; empty where nothing is said."""
    return _ALIASES.get(_written_out(text) or "-".join(text.lower().split()), text)


def _written_out(text: str) -> str:
    """Return the short name, such as by-nc, of a Creative Commons licence of version 4 in words; empty for others."""
    joined = re.sub(r"\b(non|no|share)[\s-]+(?=commercial|deriv|alike)", r"\1", text.lower())
    words = re.findall(r"[a-z0-9.]+", joined)
    terms = [_TERMS[word] for word in words if word in _TERMS]
    is_one = words[:1] in (["cc"], ["creative"]) and all(word in _TERMS or word in _FILLERS for word in words)
    return "-".join(terms) if is_one and terms[:1] == ["by"] else ""


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
