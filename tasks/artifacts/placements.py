"""The placements that normalize finds and rendering reads: where each object lies and how big it is."""

import json
from pathlib import Path

from render.placement import Placement

PLACEMENTS = "placements.jsonl"


def read_placements(normalized: Path) -> dict[str, Placement]:
    """Read the placement of each object by uid."""
    rows = [json.loads(line) for line in (normalized / PLACEMENTS).read_text().splitlines()]
    return {row["uid"]: Placement.from_json(row) for row in rows}
