"""Writes which packages are installed and under which licences, as CycloneDX 1.6 (cyclonedx.org/docs/1.6/json).

`python -m infra.setup.bill_of_materials [FILE]` (`make licences`) reads the metadata of the installed packages, without
network. It knows nothing of faults in them; `make audit` asks for those.
"""

import json
import re
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

PROJECT = "mvdiffusion-pp"
UNKNOWN = "unknown"
CLASSIFIER = "License :: "
LONGEST = 80
"""Characters of a licence's name; what is longer is its text."""


def bill_of_materials() -> dict[str, Any]:
    """Return the document: a component for each installed package, sorted by name."""
    components = [_component(package) for package in _installed()]
    names = " ".join(row["bom-ref"] for row in components)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, names)}",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": PROJECT, "bom-ref": PROJECT}},
        "components": components,
    }


def licence_of(package: Distribution) -> str:
    """Return a package's licence: its SPDX expression, or what its metadata says in other words, or UNKNOWN."""
    if expression := _field(package, "License-Expression"):
        return expression
    classifiers = [text for text in package.metadata.get_all("Classifier") or [] if text.startswith(CLASSIFIER)]
    names = [text.rpartition(" :: ")[2] for text in classifiers if not text.endswith("OSI Approved")]
    said = _field(package, "License").strip()
    if said and "\n" not in said and len(said) <= LONGEST and said.upper() != "UNKNOWN":
        return said
    return " or ".join(names) or UNKNOWN


def _installed() -> Iterator[Distribution]:
    found = {_name(package): package for package in distributions() if _field(package, "Name")}
    yield from (found[name] for name in sorted(found) if name != PROJECT)


def _field(package: Distribution, name: str) -> str:
    """Return a field of a package's metadata; empty where there is none."""
    return str(package.metadata[name]) if name in package.metadata else ""


def _name(package: Distribution) -> str:
    """Return the normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()


def _component(package: Distribution) -> dict[str, Any]:
    name, licence = _name(package), licence_of(package)
    address = f"pkg:pypi/{name}@{package.version}"
    is_expression = "License-Expression" in package.metadata
    licences = [{"expression": licence}] if is_expression else [{"license": {"name": licence}}]
    return {
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": package.version,
        "purl": address,
        "licenses": licences,
    }


def main() -> None:
    """Write the document to the file that is named, or to stdout; the number of packages by licence goes to stderr."""
    document = bill_of_materials()
    text = json.dumps(document, indent=1) + "\n"
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
    else:
        sys.stdout.write(text)
    counts = Counter(licence_of(package) for package in _installed())
    sys.stderr.write("".join(f"{count:4} {licence}\n" for licence, count in counts.most_common()))


if __name__ == "__main__":
    main()
